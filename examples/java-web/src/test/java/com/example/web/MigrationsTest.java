package com.example.web;

import static org.junit.jupiter.api.Assertions.assertFalse;

import java.util.regex.Pattern;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class MigrationsTest {
    private static final Pattern TAKES_AWAY =
            Pattern.compile("\\b(drop|rename|truncate|delete)\\b", Pattern.CASE_INSENSITIVE);

    static Iterable<String> files() {
        return Migrations.FILES;
    }

    @ParameterizedTest
    @MethodSource("files")
    void aMigrationOnlyAdds(String file) {
        assertFalse(TAKES_AWAY.matcher(Migrations.text(file)).find(), "pods of the old release would break");
    }
}
