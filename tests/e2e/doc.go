// Package e2e tests the built nitrokv binary from outside: its command line, its own client, clients that other people wrote
// (go-redis, rueidis, redis-py, ioredis, redis-cli, redis-benchmark, nc), and what docs/DURABILITY.md promises.
//
// Each test starts servers of its own on a free port over a data folder of its own, reads the address from the server's log,
// makes sure that it is nitrokv that answers there, and ends it with SIGTERM, which must lead to exit status 0, unless it is
// the test's business to end it otherwise. The binary is built once; NITROKV_BIN names one that is built already.
//
// What a new user types in the first minutes is replayed from testdata/script, in the language of testscript (script_test.go).
//
// # Durability
//
// Servers are killed in the middle of the work of many clients (kill_test.go, linear_test.go), their system calls are delayed
// or made to fail by strace (trace_test.go, failure_test.go), and their disk is full (fullfs_test.go). That needs ptrace and,
// for the small disk, root; where that is missing the tests fail, since they can't tell whether the server is right.
//
// Random tests log their seed; NK_SEED=n makes the same choices again, NK_TEST_PERCENT=n runs n percent of the kills. The
// system's scheduling is not repeatable, so a seed makes a failure likely again, not certain.
package e2e
