package com.example.web;

import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.Objects;
import java.util.logging.Level;
import java.util.logging.Logger;

/** A small web application that greets its visitors and counts them in PostgreSQL. */
public final class Main {
    private static final Logger LOG = Logger.getLogger("web");

    /** How long clients are asked to leave, after SIGTERM, before their connections are closed. */
    private static final Duration LEAVE = Duration.ofSeconds(2);

    /** How long requests in flight may then take. */
    private static final Duration FINISH = Duration.ofSeconds(20);

    private Main() {}

    public static void main(String[] args) throws Exception {
        System.setProperty("java.util.logging.SimpleFormatter.format", "%1$tFT%1$tT %4$s %5$s%6$s%n");
        System.setProperty("sun.net.httpserver.nodelay", "true"); // else kept connections wait 40 ms for each answer
        try {
            serve();
        } catch (Exception e) {
            LOG.log(Level.SEVERE, "web ends", e);
            System.exit(1);
        }
    }

    private static void serve() throws Exception {
        Visits visits = open(System.getenv("DATABASE_URL"));
        String commit = Objects.requireNonNullElse(Main.class.getPackage().getImplementationVersion(), "dev");
        Site site = new Site(visits, commit, host());
        HttpServer server = site.listen(new InetSocketAddress(8080));
        if ("naive".equals(System.getenv("MODE"))) {
            LOG.warning("MODE=naive: SIGTERM ends this pod at once, whoever is waiting for an answer");
        } else {
            Runtime.getRuntime().addShutdownHook(new Thread(() -> end(site, server, visits), "end"));
        }
        LOG.info("serving on " + server.getAddress() + ", commit " + commit + ", visits are counted " + visits.where());
    }

    static Visits open(String url) throws Exception {
        if (url == null || url.isEmpty()) {
            LOG.warning("DATABASE_URL is not set: visits are counted in this pod's memory and lost when it ends");
            return new MemoryVisits();
        }
        return PostgresVisits.open(url, Duration.ofSeconds(30));
    }

    /** The host's name, which in Kubernetes is the pod's. */
    private static String host() {
        String name = System.getenv("HOSTNAME");
        if (name != null) {
            return name;
        }
        try {
            return InetAddress.getLocalHost().getHostName();
        } catch (UnknownHostException e) {
            return "a host without a name";
        }
    }

    /** Runs on SIGTERM: serves on while clients leave, then lets requests in flight finish. */
    private static void end(Site site, HttpServer server, Visits visits) {
        say("asked to end: letting visitors finish");
        try {
            site.end();
            Thread.sleep(LEAVE.toMillis());
            boolean finished = site.await(FINISH);
            server.stop(0);
            visits.close();
            say(finished ? "all visitors have been served" : "some requests took too long to finish");
        } catch (Exception e) {
            say("end: " + e);
        }
    }

    /** The log's own shutdown hook may have run already. */
    private static void say(String line) {
        System.err.println(line);
    }
}
