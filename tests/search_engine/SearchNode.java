import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** One OpenSearch node on 127.0.0.1 and a free port: prints the port, ends with its standard input. */
public final class SearchNode extends Node {
    private SearchNode(Settings settings) {
        super(
            InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "test"),
            List.of(Netty4Plugin.class),
            true
        );
    }

    private static Settings settings(String home) {
        return Settings.builder()
            .put("path.home", home)
            .put("path.data", home + "/data")
            .put("path.logs", home + "/logs")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", "0")
            .put("transport.port", "0")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build();
    }

    public static void main(String[] words) throws Exception {
        SearchNode node = new SearchNode(settings(words[0]));
        node.start();
        var bound = node.injector().getInstance(HttpServerTransport.class).boundAddress();
        System.out.println("port " + bound.publishAddress().getPort());
        while (System.in.read() >= 0) {}
        node.close();
        System.exit(0);
    }
}
