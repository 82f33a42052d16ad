package example;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.Map;

public class Greeter implements RequestHandler<Map<String, Object>, Map<String, Object>> {
  @Override
  public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
    context.getLogger().log("greets " + event.get("name"));
    if (event.get("name").equals("nobody")) {
      throw new IllegalStateException("there is nobody");
    }
    boolean limited = context.getRemainingTimeInMillis() > 0 && context.getMemoryLimitInMB() > 0;
    return Map.of("greeting", "Hello " + event.get("name"), "request", context.getAwsRequestId(), "limited", limited);
  }

  public static String shout(String word) {
    return word.toUpperCase();
  }
}
