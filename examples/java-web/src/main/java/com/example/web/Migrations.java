package com.example.web;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;

/**
 * Brings the tables up to date, each file once. During a deployment the old pods still serve when the new ones have
 * migrated, so a migration may only add: what it takes away must have been unused for a whole release.
 */
final class Migrations {
    static final List<String> FILES = List.of("0001_visits.sql", "0002_visits_pod.sql");

    /** PostgreSQL's advisory lock under which one pod at a time migrates. */
    private static final long LOCK = 7_226_002;

    private Migrations() {}

    static void apply(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.execute("SELECT pg_advisory_xact_lock(" + LOCK + ")");
            statement.execute("CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())");
            for (String file : FILES) {
                if (isNew(connection, file)) {
                    statement.execute(text(file));
                }
            }
            connection.commit();
        }
        connection.setAutoCommit(true);
    }

    private static boolean isNew(Connection connection, String file) throws SQLException {
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO migrations (name) VALUES (?) ON CONFLICT DO NOTHING")) {
            insert.setString(1, file);
            return insert.executeUpdate() == 1;
        }
    }

    static String text(String file) {
        try (InputStream in = Migrations.class.getResourceAsStream("/migrations/" + file)) {
            if (in == null) {
                throw new IllegalStateException("migration " + file + " is missing in the jar");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
