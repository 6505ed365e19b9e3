// Peers measures nitrokv beside other servers, in one run, on one machine, under the same load.
//
//	go run ./peers                       # every row, about half an hour
//	go run ./peers -only cpu             # the rows whose id begins with "cpu"
//	go run ./peers -quick                # a rehearsal: fewer keys, shorter rounds, not for the record
//	go run ./peers -out rows.md          # also as Markdown, for docs/BENCHMARKS.md
//	go run ./peers -list                 # the ids and limits
//
// # What runs
//
// The contenders are nitrokv (over RESP and over its binary protocol), the redis-server and memcached of the
// distribution, valkey-server where there is one, and two ceilings: a Go server that echoes what it reads, and a Go
// server that parses RESP and answers constants. Neither stores anything: the first is what a Go server pays for the
// network alone, the second what it pays for network and parser.
//
// Every server is pinned to one CPU, the load to another. The load is "nitrokv bench" where a server speaks RESP, and the
// small closed-loop load of this program (load.go) for memcached and the echo. Rounds alternate between the servers,
// so that a change of the machine's pace meets all of them. A row is thrown away, measured again, and in the end
// reported as discarded, when Redis's own samples spread by more than 10 %: a machine on which Redis is not steady
// cannot tell how anything compares to it. On a virtual machine a sample from which the hypervisor took more than 3 % of the
// processors' time is taken again at once (quiet.go).
//
// CPU per request is the server's, read from /proc/PID/task/*/schedstat around each load.
//
// The in-process rows run the programs of tests/bench, compiled here with the engine's own flags, and this program's
// "threads" subcommand, which drives the engine's Go package.
//
// The rows dur-… are about durability: nitrokv with its log and Redis with its append-only file at the same level, with
// the same requests, in new folders on the same disk. They are refused where that is no disk: on tmpfs, and where an
// fdatasync costs less than 20 µs. -data names another folder.
//
// # Verdicts
//
// A row prints PASS or MISS against what it must reach, REACHED when it reaches what was hoped for, and all its
// samples. The exit status is 0 also with misses, which are counted in the last line; 1 when a measurement
// itself failed; 2 when this machine cannot measure (fewer than two CPUs, a program missing, no disk) or for a wrong flag.
package main
