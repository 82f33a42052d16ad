package com.example.web;

import java.net.URI;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Properties;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/** A small pool of database connections. */
final class Connections implements AutoCloseable {
    /** Work on a connection. */
    interface Work<T> {
        T on(Connection connection) throws SQLException;
    }

    private final String url;
    private final Semaphore free;
    private final Deque<Connection> idle = new ArrayDeque<>();
    private boolean closed;

    /** Takes a URL such as postgres://user:password@host:5432/name, and opens connections when they are needed. */
    Connections(String url, int most) {
        this.url = jdbc(url);
        this.free = new Semaphore(most);
    }

    /** The JDBC driver's form of a postgres:// URL. */
    static String jdbc(String url) {
        URI uri = URI.create(url);
        if (uri.getHost() == null || !uri.getScheme().startsWith("postgres")) {
            throw new IllegalArgumentException("DATABASE_URL is not of the form postgres://user:password@host:5432/name");
        }
        StringBuilder out = new StringBuilder("jdbc:postgresql://" + uri.getHost());
        out.append(uri.getPort() < 0 ? "" : ":" + uri.getPort()).append(uri.getRawPath());
        String separator = "?";
        if (uri.getRawQuery() != null) {
            out.append('?').append(uri.getRawQuery());
            separator = "&";
        }
        if (uri.getRawUserInfo() != null) {
            String[] user = uri.getRawUserInfo().split(":", 2);
            out.append(separator).append("user=").append(parameter(user[0]));
            if (user.length > 1) {
                out.append("&password=").append(parameter(user[1]));
            }
        }
        return out.toString();
    }

    private static String parameter(String raw) {
        String plain = URLDecoder.decode(raw.replace("+", "%2B"), StandardCharsets.UTF_8);
        return URLEncoder.encode(plain, StandardCharsets.UTF_8);
    }

    /** Does work on a connection. One on which it fails is not used again. */
    <T> T use(Work<T> work) throws SQLException {
        try {
            if (!free.tryAcquire(5, TimeUnit.SECONDS)) {
                throw new SQLException("no database connection came free for 5 seconds");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new SQLException("interrupted", e);
        }
        try {
            return attempt(work);
        } finally {
            free.release();
        }
    }

    private <T> T attempt(Work<T> work) throws SQLException {
        Connection connection = take();
        boolean done = false;
        try {
            T result = work.on(connection);
            done = true;
            return result;
        } finally {
            if (!done || !give(connection)) {
                connection.close();
            }
        }
    }

    private Connection take() throws SQLException {
        while (true) {
            Connection connection;
            synchronized (this) {
                if (closed) {
                    throw new SQLException("the connections are closed");
                }
                connection = idle.pollFirst();
            }
            if (connection == null) {
                Properties limits = new Properties();
                limits.setProperty("connectTimeout", "5");
                limits.setProperty("socketTimeout", "30");
                return DriverManager.getConnection(url, limits);
            }
            if (connection.isValid(1)) {
                return connection;
            }
            connection.close();
        }
    }

    private synchronized boolean give(Connection connection) {
        return !closed && idle.offerFirst(connection);
    }

    @Override
    public synchronized void close() throws SQLException {
        closed = true;
        for (Connection connection : idle) {
            connection.close();
        }
        idle.clear();
    }
}
