package com.example.web;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class ConnectionsTest {
    @Test
    void aDatabaseUrlIsTurnedIntoTheDriversForm() {
        assertEquals("jdbc:postgresql://db/web", Connections.jdbc("postgres://db/web"));
        assertEquals(
                "jdbc:postgresql://db:5432/web?sslmode=require&user=web&password=p%26%2B%3A",
                Connections.jdbc("postgresql://web:p%26+:@db:5432/web?sslmode=require"));
    }

    @Test
    void aUrlOfAnotherDatabaseIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> Connections.jdbc("mysql://db/web"));
        assertThrows(IllegalArgumentException.class, () -> Connections.jdbc("postgres:///web"));
    }
}
