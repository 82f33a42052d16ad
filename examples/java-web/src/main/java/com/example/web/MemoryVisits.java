package com.example.web;

import java.util.concurrent.atomic.AtomicLong;

/** Counts in memory, for want of a database. */
final class MemoryVisits implements Visits {
    private final AtomicLong visits = new AtomicLong();

    @Override
    public String where() {
        return "in this pod's memory: set DATABASE_URL to keep them";
    }

    @Override
    public long add(String pod) {
        return visits.incrementAndGet();
    }

    @Override
    public long total() {
        return visits.get();
    }

    @Override
    public boolean reachable() {
        return true;
    }

    @Override
    public void close() {}
}
