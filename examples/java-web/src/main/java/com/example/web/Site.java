package com.example.web;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.sql.SQLException;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Logger;

/** The pages of the application. */
final class Site {
    /** What visitors read first. Change it and push. */
    static final String GREETING = "Hello";

    private static final Logger LOG = Logger.getLogger("web");

    private final Visits visits;
    private final String commit;
    private final String pod;
    private final AtomicInteger inFlight = new AtomicInteger();
    private volatile boolean ending;

    Site(Visits visits, String commit, String pod) {
        this.visits = visits;
        this.commit = commit.substring(0, Math.min(7, commit.length()));
        this.pod = pod;
    }

    HttpServer listen(InetSocketAddress address) throws IOException {
        HttpServer server = HttpServer.create(address, 1024);
        server.createContext("/", this::handle);
        server.setExecutor(Executors.newFixedThreadPool(32, work -> {
            Thread thread = new Thread(work, "request");
            thread.setDaemon(true);
            return thread;
        }));
        server.start();
        return server;
    }

    /** From now on, clients are asked to leave their connections, and the readiness probe hears no. */
    void end() {
        ending = true;
    }

    /** Waits until no request is in flight, and says whether that came true in time. */
    boolean await(Duration limit) throws InterruptedException {
        long deadline = System.nanoTime() + limit.toNanos();
        while (inFlight.get() > 0 && System.nanoTime() < deadline) {
            Thread.sleep(10);
        }
        return inFlight.get() == 0;
    }

    private void handle(HttpExchange exchange) throws IOException {
        inFlight.incrementAndGet();
        try (exchange) {
            exchange.getRequestBody().readAllBytes();
            Answer answer;
            try {
                answer = answer(exchange.getRequestMethod(), exchange.getRequestURI().getPath());
            } catch (SQLException e) {
                LOG.warning("visits: " + e);
                answer = new Answer(503, "visits cannot be counted now");
            }
            send(exchange, answer);
        } finally {
            inFlight.decrementAndGet();
        }
    }

    private record Answer(int status, String text) {}

    private Answer answer(String method, String path) throws SQLException {
        String asked = ("HEAD".equals(method) ? "GET" : method) + " " + path;
        return switch (asked) {
            case "GET /" -> new Answer(200, GREETING + " from commit " + commit + " on " + pod
                    + "\nvisits are counted " + visits.where());
            case "GET /visits" -> new Answer(200, Long.toString(visits.total()));
            case "POST /visits" -> new Answer(200, Long.toString(visits.add(pod)));
            case "GET /healthz" -> new Answer(200, "ok");
            case "GET /readyz" -> ready();
            default -> new Answer(404, "there is no " + asked);
        };
    }

    private Answer ready() {
        if (ending) {
            return new Answer(503, "ending");
        }
        return visits.reachable() ? new Answer(200, "ready") : new Answer(503, "no database");
    }

    private void send(HttpExchange exchange, Answer answer) throws IOException {
        byte[] body = (answer.text + "\n").getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "text/plain; charset=utf-8");
        if (ending) {
            // The client's next request goes out on a new connection, to a pod that stays.
            exchange.getResponseHeaders().set("Connection", "close");
        }
        if ("HEAD".equals(exchange.getRequestMethod())) {
            exchange.sendResponseHeaders(answer.status, -1);
            return;
        }
        exchange.sendResponseHeaders(answer.status, body.length);
        exchange.getResponseBody().write(body);
    }
}
