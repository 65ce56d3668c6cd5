"""A local web page of one study: look at slides and their maps, name and merge concepts, judge them."""
