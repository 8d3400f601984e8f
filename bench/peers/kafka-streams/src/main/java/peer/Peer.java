package peer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Copy, transform, or detect changes, exactly once. Arguments: bootstrap address, work, input topic, output topic,
 * application id, state folder, threads, milliseconds between commits.
 */
public final class Peer {
  private static final String STORE = "last";
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Map<String, String> RENAMED =
      Map.of("MLS_NUM", "ListingId", "STATUS_CD", "MlsStatus", "LIST_PRICE", "ListPrice");

  private Peer() {}

  public static void main(String[] args) {
    String work = args[1];
    StreamsBuilder builder = new StreamsBuilder();
    KStream<byte[], byte[]> input =
        builder.stream(args[2], Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()));
    KStream<byte[], byte[]> output =
        switch (work) {
          case "copy" -> input;
          case "transform" -> input.mapValues(Peer::transform);
          case "state" -> changes(builder, input);
          default -> throw new IllegalArgumentException("no such work: " + work);
        };
    output.to(args[3], Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
    KafkaStreams streams =
        new KafkaStreams(builder.build(), settings(args), new TimedCommits(Path.of(args[5])));
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.setUncaughtExceptionHandler(
        error -> {
          error.printStackTrace();
          return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler
              .StreamThreadExceptionResponse.SHUTDOWN_APPLICATION;
        });
    streams.start();
  }

  private static Properties settings(String[] args) {
    Properties p = new Properties();
    p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    p.put(StreamsConfig.APPLICATION_ID_CONFIG, args[4]);
    p.put(StreamsConfig.STATE_DIR_CONFIG, args[5]);
    p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, args[6]);
    p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, args[7]);
    p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, "-1");
    // Tuned for throughput: large batches, compressed, and much fetched at a time.
    p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
    p.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 5_000);
    p.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
    p.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
    p.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5);
    p.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 64L << 20);
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5_000);
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 << 20);
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    return p;
  }

  /** Three fields renamed, one computed, one dropped; the others as they are and in their order. */
  static byte[] transform(byte[] value) {
    try {
      ObjectNode from = (ObjectNode) JSON.readTree(value);
      ObjectNode to = JSON.createObjectNode();
      for (Map.Entry<String, JsonNode> field : from.properties()) {
        String name = field.getKey();
        if (!name.equals("PRIV_REMARKS")) {
          to.set(RENAMED.getOrDefault(name, name), field.getValue());
        }
      }
      to.put("PricePerSquareFoot", from.get("LIST_PRICE").asLong() / from.get("SQFT").asLong());
      return JSON.writeValueAsBytes(to);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  private static KStream<byte[], byte[]> changes(
      StreamsBuilder builder, KStream<byte[], byte[]> input) {
    builder.addStateStore(
        Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore(STORE), Serdes.Bytes(), Serdes.ByteArray())
            .withCachingEnabled());
    return input.processValues(Changes::new, STORE);
  }

  /** Keeps the last price and status of each key, and tells where one of them changed. */
  private static final class Changes implements FixedKeyProcessor<byte[], byte[], byte[]> {
    private FixedKeyProcessorContext<byte[], byte[]> context;
    private KeyValueStore<Bytes, byte[]> last;

    @Override
    public void init(FixedKeyProcessorContext<byte[], byte[]> context) {
      this.context = context;
      this.last = context.getStateStore(STORE);
    }

    @Override
    public void process(FixedKeyRecord<byte[], byte[]> record) {
      try {
        JsonNode listing = JSON.readTree(record.value());
        ObjectNode now = JSON.createObjectNode();
        now.set("price", listing.get("LIST_PRICE"));
        now.set("status", listing.get("STATUS_CD"));
        byte[] after = JSON.writeValueAsBytes(now);
        Bytes key = Bytes.wrap(record.key());
        byte[] before = last.get(key);
        if (before != null && java.util.Arrays.equals(before, after)) {
          return;
        }
        last.put(key, after);
        String was = before == null ? "null" : new String(before, StandardCharsets.UTF_8);
        String event = "{\"before\":" + was + ",\"after\":" + new String(after, StandardCharsets.UTF_8) + "}";
        context.forward(record.withValue(event.getBytes(StandardCharsets.UTF_8)));
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }
}
