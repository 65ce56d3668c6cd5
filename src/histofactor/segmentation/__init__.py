"""One slide: encode, respond, blend, solve, decode. No output folder is known here."""
