package com.example.web;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.util.logging.Logger;

/** Counts in PostgreSQL. */
final class PostgresVisits implements Visits {
    private static final Logger LOG = Logger.getLogger("web");

    private final Connections connections;

    private PostgresVisits(Connections connections) {
        this.connections = connections;
    }

    /** Waits for the database up to the limit, and brings its tables up to date. */
    static PostgresVisits open(String url, Duration limit) throws SQLException, InterruptedException {
        Connections connections = new Connections(url, 5);
        long deadline = System.nanoTime() + limit.toNanos();
        while (true) {
            try {
                connections.use(connection -> {
                    Migrations.apply(connection);
                    return null;
                });
                return new PostgresVisits(connections);
            } catch (SQLException e) {
                // Class 08 is a connection that cannot be made, 57P03 a server that is still starting.
                String state = String.valueOf(e.getSQLState());
                boolean wait = state.startsWith("08") || state.equals("57P03");
                if (!wait || System.nanoTime() > deadline) {
                    connections.close();
                    throw e;
                }
                LOG.info("waiting for the database: " + e.getMessage());
                Thread.sleep(1000);
            }
        }
    }

    @Override
    public String where() {
        return "in PostgreSQL";
    }

    @Override
    public long add(String pod) throws SQLException {
        return connections.use(connection -> {
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO visits (pod) VALUES (?)")) {
                insert.setString(1, pod);
                insert.executeUpdate();
            }
            return total(connection);
        });
    }

    @Override
    public long total() throws SQLException {
        return connections.use(PostgresVisits::total);
    }

    private static long total(Connection connection) throws SQLException {
        try (PreparedStatement count = connection.prepareStatement("SELECT count(*) FROM visits");
                ResultSet rows = count.executeQuery()) {
            rows.next();
            return rows.getLong(1);
        }
    }

    @Override
    public boolean reachable() {
        try {
            return connections.use(connection -> connection.isValid(1));
        } catch (SQLException e) {
            return false;
        }
    }

    @Override
    public void close() throws SQLException {
        connections.close();
    }
}
