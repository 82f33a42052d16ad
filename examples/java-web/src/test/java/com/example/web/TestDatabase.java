package com.example.web;

import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.UUID;

/** An empty schema in the PostgreSQL at DATABASE_URL, dropped again when it is closed. */
final class TestDatabase implements AutoCloseable {
    private final String schema = "test_" + UUID.randomUUID().toString().replace("-", "");
    private final String server = System.getenv("DATABASE_URL");

    TestDatabase() throws SQLException {
        assertNotNull(server, "DATABASE_URL is not set: these tests need an empty PostgreSQL database");
        run("CREATE SCHEMA " + schema);
    }

    String url() {
        return server + (server.contains("?") ? "&" : "?") + "currentSchema=" + schema;
    }

    void run(String sql) throws SQLException {
        try (Connection connection = DriverManager.getConnection(Connections.jdbc(server))) {
            connection.createStatement().execute(sql);
        }
    }

    @Override
    public void close() throws SQLException {
        run("DROP SCHEMA " + schema + " CASCADE");
    }
}
