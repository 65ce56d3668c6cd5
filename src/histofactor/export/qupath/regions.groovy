
// The regions in an output folder: [name: file name of the input, path: the whole of it, regions: their file].
def resultsIn(File out) {
    def found = []
    for (dir in (out.listFiles() ?: []).sort()) {
        def status = new File(dir, "status.json"), regions = new File(dir, "regions.geojson.gz")
        if (!status.isFile() || !regions.isFile())
            continue
        def input = GsonTools.getInstance().fromJson(status.getText("UTF-8"), Map)["input"].replace("\\", "/")
        found << [name: input.substring(input.lastIndexOf("/") + 1), path: input, regions: regions]
    }
    if (found.isEmpty())
        println "no regions in " + out
    return found
}

// The regions of an image, by the path of its file, else by its name where that is there once; null where there are none.
def regionsOf(uris, results) {
    def paths = uris.collect { withoutQuery(it).getPath() }
    def found = results.findAll { paths.contains(it.path) || paths.contains("/" + it.path) }  // "/C:/data" on Windows
    if (found.isEmpty())
        found = results.findAll { one -> paths.any { it.substring(it.lastIndexOf("/") + 1) == one.name } }
    if (found.size() == 1)
        return found[0].regions
    println "passed over " + paths.join(", ") + ": " + (found.isEmpty() ? "no regions" : "several inputs have its name")
    return null
}

// Put the regions of a file in the place of those that were imported before; gives [added, removed, kept].
def replaceRegions(imageData, File file) {
    def regions = PathIO.readObjects(file.toPath())
    for (region in regions) {  // a class that is there already would keep its colour
        def color = region.getMetadata()["color"], pathClass = region.getPathClass()
        if (color != null && pathClass != null)
            pathClass.setColor(*[1, 3, 5].collect { Integer.parseInt(color.substring(it, it + 2), 16) })
    }
    def ids = regions.collect { it.getID() } as Set
    def hierarchy = imageData.getHierarchy()
    def ours = hierarchy.getAnnotationObjects().findAll {
        ids.contains(it.getID()) || it.getMetadata()["source"] == "histofactor"
    }
    def (locked, unlocked) = ours.split { it.isLocked() }
    def edited = unlocked.collect { it.getID() } as Set
    def added = regions.findAll { !edited.contains(it.getID()) }
    hierarchy.removeObjects(locked, true)
    hierarchy.addObjects(added)
    return [added.size(), locked.size(), unlocked.size()]
}

def withoutQuery(uri) {
    return new URI(uri.getScheme(), uri.getAuthority(), uri.getPath(), null, null)
}

def tell(file, counts) {
    println String.format("%s: %d regions in the place of %d, %d of yours kept", file, *counts)
}
