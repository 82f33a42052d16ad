package com.example.web;

import java.sql.SQLException;

/** Counts visits. All methods may be called by many threads at once. */
interface Visits extends AutoCloseable {
    /** Where visits are counted, for people. */
    String where();

    /** Adds a visit to a pod and returns how many there are now. */
    long add(String pod) throws SQLException;

    long total() throws SQLException;

    boolean reachable();

    @Override
    void close() throws SQLException;
}
