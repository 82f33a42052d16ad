package com.amazonaws.services.lambda.runtime;

/** What a function brings along in aws-lambda-java-core: its public shape. */
public interface Context {
  String getAwsRequestId();

  String getFunctionName();

  int getRemainingTimeInMillis();

  int getMemoryLimitInMB();

  LambdaLogger getLogger();
}
