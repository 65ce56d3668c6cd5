import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.locationtech.jts.geom.Geometry;
import org.locationtech.jts.geom.PrecisionModel;
import org.locationtech.jts.io.WKTReader;
import org.locationtech.jts.operation.valid.IsValidOp;
import org.locationtech.jts.operation.valid.TopologyValidationError;
import org.locationtech.jts.precision.GeometryPrecisionReducer;

/**
 * Reads one WKT geometry a line and does with it what QuPath does on import: reduces it to a grid of 0.01 px.
 * Answers one line each: "ok", or what JTS has against it.
 */
class Check {
    public static void main(String[] arguments) throws Exception {
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var reader = new WKTReader();
        var reducer = new GeometryPrecisionReducer(new PrecisionModel(100));
        var answers = new StringBuilder();
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            answers.append(verdict(reader.read(line), reducer)).append('\n');
        }
        System.out.print(answers);
    }

    private static String verdict(Geometry geometry, GeometryPrecisionReducer reducer) {
        TopologyValidationError error = new IsValidOp(geometry).getValidationError();
        if (error != null) {
            return error.toString();
        }
        try {
            Geometry reduced = reducer.reduce(geometry);
            return reduced.equalsTopo(geometry) ? "ok" : "reducing changes it to " + reduced;
        } catch (IllegalArgumentException exception) {
            return exception.getMessage();
        }
    }
}
