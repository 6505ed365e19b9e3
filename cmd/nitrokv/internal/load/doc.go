// Package load is the load generator behind "nitrokv bench".
//
// A Run drives one server over the binary protocol or RESP with GET and SET requests and reports throughput and
// latency. It goes through phases: preload every key (Config.Load), warm up (Config.Warmup), measure, and, with
// Config.Verify, read every key back.
//
// # How a loop works
//
// Every loop is one goroutine locked to its thread, with its own epoll instance, connections, random numbers and
// histograms; loops share nothing but a stop flag (and in workload D the numbers of new keys). A connection sends a whole
// pipeline in one write and parses what one read brings. Requests are copied from templates in which only the key's
// digits (and the value) differ, and a batch of replies that one read brought shares one clock reading and one histogram
// update, so that the generator costs tens of nanoseconds per request at pipeline 64 and the server stays what is
// measured.
//
// # Closed and open loop
//
// In a closed loop each connection sends its next pipeline when the last reply of the previous one has arrived: it
// finds the throughput, but a server that stalls also stops the load, so the stall is seen by a few requests only.
// With Config.Rate the loop is open: request i is due at start + i/rate whatever the server does, and its latency is
// counted from that instant. A request that could not be sent because its connection had a full pipeline waits in line
// and its wait counts; one that was never sent is recorded with the time it has waited so far. This is what keeps
// stalls visible (no coordinated omission).
//
// # Workloads
//
// Config.Workload chooses one of the core workloads of YCSB (workload.go). Workload D inserts: loops then share the
// numbers of the new keys (latest.go), so that each reads what any of them has stored. A read-modify-write of workload F
// occupies its place in the pipeline until its second reply has come, and is one request in every figure.
//
// # Verification
//
// With Config.Verify a value is made from seed, key and version, so every reply can be recomputed. A key is written by
// one connection only (number key mod clients), which knows the version that each of its own reads must return; values
// of other connections' keys must be intact and present. A mismatch is counted and the first one is described. Only
// one verifying run may use a server's keys at a time.
package load
