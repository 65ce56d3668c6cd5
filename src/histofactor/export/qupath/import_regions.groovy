// Regions that histofactor wrote, as annotations of the open image, or of every image of the open project.
// For QuPath 0.6 or newer. Run it from the script editor, or by: QuPath script import_regions.groovy -p PROJECT
//
// A second run takes the place of the first: annotations of histofactor that are locked go, those that you unlocked stay.

import qupath.fx.dialogs.FileChoosers
import qupath.lib.io.GsonTools
import qupath.lib.io.PathIO
import static qupath.lib.scripting.QP.*

def folder = null         // the output folder of histofactor, such as "/data/out"; null asks for it
def wholeProject = false  // true: all images of the project, which are saved; false: the open one, which you save

def out = folder == null ? FileChoosers.promptForDirectory("Output folder of histofactor", null) : new File(folder)
if (out == null)
    return
def results = resultsIn(out)
if (!wholeProject) {
    def regions = regionsOf(getCurrentServer().getURIs(), results)
    if (regions != null)
        tell(regions, replaceRegions(getCurrentImageData(), regions))
    return
}
def open = getProjectEntry()
for (entry in getProject().getImageList()) {
    def regions = regionsOf(entry.getURIs(), results)
    if (regions == null)
        continue
    if (entry == open) {
        tell(regions, replaceRegions(getCurrentImageData(), regions))
        println "this is the open image: save it yourself"
        continue
    }
    def imageData = entry.readImageData()
    try {
        tell(regions, replaceRegions(imageData, regions))
        entry.saveImageData(imageData)
    } finally {
        imageData.getServer().close()
    }
}
