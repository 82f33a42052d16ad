package com.example.web;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class SiteTest {
    private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private TestDatabase database;
    private Visits visits;
    private Site site;
    private HttpServer server;

    @BeforeEach
    void start() throws Exception {
        database = new TestDatabase();
        visits = PostgresVisits.open(database.url(), Duration.ZERO);
        site = new Site(visits, "0123456789abcdef", "web-1");
        server = site.listen(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
    }

    @AfterEach
    void stop() throws Exception {
        server.stop(0);
        visits.close();
        database.close();
    }

    private HttpResponse<String> ask(String method, String path) throws Exception {
        URI uri = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + path);
        HttpRequest request = HttpRequest.newBuilder(uri).method(method, HttpRequest.BodyPublishers.noBody()).build();
        return client.send(request, HttpResponse.BodyHandlers.ofString());
    }

    @Test
    void theFirstPageGreets() throws Exception {
        HttpResponse<String> answer = ask("GET", "/");
        assertEquals(200, answer.statusCode());
        assertEquals(Site.GREETING + " from commit 0123456 on web-1\nvisits are counted in PostgreSQL\n", answer.body());
    }

    @Test
    void visitsAreCounted() throws Exception {
        assertEquals("0\n", ask("GET", "/visits").body());
        assertEquals("1\n", ask("POST", "/visits").body());
        assertEquals("2\n", ask("POST", "/visits").body());
        assertEquals("2\n", ask("GET", "/visits").body());
    }

    @Test
    void anUnknownPageIsNotFound() throws Exception {
        assertEquals(404, ask("GET", "/nothing").statusCode());
        assertEquals(404, ask("DELETE", "/visits").statusCode());
    }

    @Test
    void aHeadRequestIsAnsweredWithoutABody() throws Exception {
        HttpResponse<String> answer = ask("HEAD", "/");
        assertEquals(200, answer.statusCode());
        assertEquals("", answer.body());
    }

    @Test
    void withoutADatabaseThePodIsAliveButNotReady() throws Exception {
        assertEquals(200, ask("GET", "/readyz").statusCode());
        visits.close();
        assertEquals(503, ask("GET", "/readyz").statusCode());
        assertEquals(503, ask("GET", "/visits").statusCode());
        assertEquals(200, ask("GET", "/healthz").statusCode());
    }

    @Test
    void aPodThatEndsServesOnAndSendsClientsAway() throws Exception {
        site.end();
        HttpResponse<String> answer = ask("GET", "/");
        assertEquals(200, answer.statusCode());
        assertEquals("close", answer.headers().firstValue("Connection").orElse(""));
        assertEquals(503, ask("GET", "/readyz").statusCode());
        assertTrue(site.await(Duration.ofSeconds(5)));
    }
}
