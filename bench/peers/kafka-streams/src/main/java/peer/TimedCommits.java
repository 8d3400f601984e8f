package peer;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.streams.processor.internals.DefaultKafkaClientSupplier;

/**
 * The clients of Kafka Streams, with producers that write down how long each commit took: from the first flush that
 * belongs to it to the answer. A line is the end in milliseconds since 1970, and microseconds. What is done for each
 * record stays as it is.
 */
final class TimedCommits extends DefaultKafkaClientSupplier {
  private final Path list;

  TimedCommits(Path state) {
    list = state.resolve("commits");
  }

  @Override
  public Producer<byte[], byte[]> getProducer(Map<String, Object> config) {
    return new Timed(config);
  }

  /** Used by one thread. */
  private final class Timed extends KafkaProducer<byte[], byte[]> {
    private long from;

    Timed(Map<String, Object> config) {
      super(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    @Override
    public void flush() {
      begin();
      super.flush();
    }

    @Override
    public void sendOffsetsToTransaction(
        Map<TopicPartition, OffsetAndMetadata> offsets, ConsumerGroupMetadata group) {
      begin();
      super.sendOffsetsToTransaction(offsets, group);
    }

    @Override
    public void commitTransaction() {
      super.commitTransaction();
      note((System.nanoTime() - from) / 1_000);
      from = 0;
    }

    @Override
    public void abortTransaction() {
      super.abortTransaction();
      from = 0;
    }

    private void begin() {
      if (from == 0) {
        from = System.nanoTime();
      }
    }
  }

  private void note(long micros) {
    String line = System.currentTimeMillis() + " " + micros + "\n";
    try {
      Files.write(
          list,
          line.getBytes(StandardCharsets.UTF_8),
          StandardOpenOption.CREATE,
          StandardOpenOption.APPEND);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }
}
