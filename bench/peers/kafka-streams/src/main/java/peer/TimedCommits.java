package peer;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.streams.processor.internals.DefaultKafkaClientSupplier;

/**
 * The clients of Kafka Streams, with producers that write down how long each commit took, as the other contenders do:
 * from the flush that begins it to the answer. A line is the end in milliseconds since 1970, and microseconds.
 */
final class TimedCommits extends DefaultKafkaClientSupplier {
  private final Path list;

  TimedCommits(Path state) {
    list = state.resolve("commits");
  }

  @Override
  public Producer<byte[], byte[]> getProducer(Map<String, Object> config) {
    return timed(super.getProducer(config));
  }

  @SuppressWarnings("unchecked")
  private Producer<byte[], byte[]> timed(Producer<byte[], byte[]> producer) {
    // A producer is used by one thread.
    long[] from = new long[1];
    return (Producer<byte[], byte[]>)
        Proxy.newProxyInstance(
            Producer.class.getClassLoader(),
            new Class<?>[] {Producer.class},
            (proxy, method, arguments) -> {
              String name = method.getName();
              boolean begins = name.equals("flush") || name.equals("sendOffsetsToTransaction");
              if (begins && from[0] == 0) {
                from[0] = System.nanoTime();
              }
              Object result = call(producer, method, arguments);
              if (name.equals("commitTransaction")) {
                note((System.nanoTime() - from[0]) / 1_000);
                from[0] = 0;
              }
              return result;
            });
  }

  private static Object call(Object on, Method method, Object[] arguments) throws Throwable {
    try {
      return method.invoke(on, arguments);
    } catch (InvocationTargetException error) {
      throw error.getCause();
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
