// Package e2e tests the built nitrokv binary from outside: its command line, its own client, and clients that other
// people wrote (go-redis, redis-cli, nc).
//
// Each test starts a server of its own on a free port, reads the address from the server's log, makes sure that it
// is nitrokv that answers there, and ends it with SIGTERM, which must lead to exit status 0. The binary is built
// once; NITROKV_BIN names one that is built already.
package e2e
