// Segments the open image with histofactor, and shows the regions as annotations.
// For QuPath 0.6 or newer, with histofactor installed on this machine. Run it from the script editor.
//
// A second run takes the place of the first: annotations of histofactor that are locked go, those that you unlocked stay.

import qupath.lib.io.GsonTools
import qupath.lib.io.PathIO
import static qupath.lib.scripting.QP.*

def program = "histofactor"              // or its whole path, such as "/home/anna/venv/bin/histofactor"
def options = ["--concepts", "embedded"] // as for `histofactor segment`; [] learns concepts from the images
def folder = null                        // the output folder, such as "/data/out"; null: one in the folder of the project

if (folder == null && getProject() == null)
    throw new IllegalStateException("No project is open: name an output folder in this script")
def out = new File(folder == null ? buildFilePath(PROJECT_BASE_DIR, "histofactor") : folder)
def uris = getCurrentServer().getURIs()
if (uris.size() != 1 || uris[0].getScheme() != "file")
    throw new IllegalArgumentException("The image is not one file: " + uris)
def command = [program, "segment", new File(withoutQuery(uris[0])).getPath(), "-o", out.getPath()] + options
println command.join(" ")
def process = new ProcessBuilder(command).redirectErrorStream(true).start()  // a list: no shell reads it
process.getOutputStream().close()
try {
    process.getInputStream().eachLine("UTF-8") { println it }
    if (process.waitFor() != 0)
        throw new IllegalStateException("histofactor ended with exit code " + process.exitValue() + ", as told above")
} finally {
    process.destroy()  // where this script is stopped; else it has ended
}
def regions = regionsOf(uris, resultsIn(out))
if (regions != null)
    tell(regions, replaceRegions(getCurrentImageData(), regions))
