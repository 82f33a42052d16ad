package com.example.web;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PostgresVisitsTest {
    private TestDatabase database;

    @BeforeEach
    void create() throws SQLException {
        database = new TestDatabase();
    }

    @AfterEach
    void drop() throws SQLException {
        database.close();
    }

    private PostgresVisits open() throws Exception {
        return PostgresVisits.open(database.url(), Duration.ZERO);
    }

    @Test
    void visitsSurviveARestart() throws Exception {
        for (int n = 1; n <= 3; n++) {
            try (Visits visits = open()) {
                assertEquals(n, visits.add("web-1"));
                assertEquals(n, visits.total());
            }
        }
    }

    @Test
    void visitsOfManyAtOnceAreAllCounted() throws Exception {
        try (Visits visits = open()) {
            assertAllSucceed(40, () -> visits.add("web-1"));
            assertEquals(40, visits.total());
        }
    }

    @Test
    void podsMigrateAtTheSameTime() throws Exception {
        assertAllSucceed(5, () -> {
            open().close();
            return null;
        });
    }

    @Test
    void anOlderPodCanWriteAfterTheMigration() throws Exception {
        try (Visits visits = open()) {
            String schema = database.url().replaceFirst(".*currentSchema=", "");
            database.run("INSERT INTO " + schema + ".visits DEFAULT VALUES");
            assertEquals(1, visits.total());
        }
    }

    @Test
    void aDatabaseThatIsGoneIsNotReachable() throws Exception {
        Visits visits = open();
        assertTrue(visits.reachable());
        visits.close();
        assertFalse(visits.reachable());
        assertThrows(SQLException.class, visits::total);
    }

    private static void assertAllSucceed(int times, java.util.concurrent.Callable<?> work) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(8);
        try {
            List<Future<?>> all = new ArrayList<>();
            for (int i = 0; i < times; i++) {
                all.add(threads.submit(work));
            }
            for (Future<?> one : all) {
                one.get();
            }
        } finally {
            threads.shutdown();
        }
    }
}
