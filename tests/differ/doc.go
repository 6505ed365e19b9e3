// Package differ sends the same commands to nitrokv and to the redis-server of the distribution and compares the replies,
// byte for byte, in RESP2 and in RESP3.
//
// # Method
//
// A generator (generator_test.go, verbs_test.go) makes tens of thousands of commands from a seed: every verb that both
// servers know, with options that fit and options that contradict each other, on a few dozen keys, so that commands meet.
// An eighth of them is then damaged: arguments are missing, repeated, replaced. They go to both servers in pipelines of the same
// bytes. After each thousand the whole contents are compared, by reading every key and by SCAN, KEYS, DBSIZE and RANDOMKEY.
//
// Whatever differs is a bug in nitrokv unless it is one of the accepted differences, a table in accepted_test.go that
// docs/REDIS.md explains to users. Each entry has a command that shows the difference, and a test that it still does, so
// the table cannot outlive its reasons.
//
// # Time
//
// The two servers have their own clocks, and execute a command at slightly different moments. So the expiries of the
// generator are far in the future or in the past, and no two are so close that their order could be in doubt; what is left
// of the difference is a tolerance in compare_test.go. Keys that really expire get their turn between two thousands, where
// the test waits until both servers have forgotten them.
//
// # Failures
//
// A failure prints the seed, the command's number, both replies, and a shorter sequence that still shows it. The sequence
// is found by leaving commands out, which is what makes a list of 60,000 short; a property-testing library would shrink
// the draws behind each of them. NK_SEED=n makes the same commands again, NK_TEST_PERCENT=n runs n percent of them. Without
// NK_SEED the seed is always the same, so that a red build means that the server has changed; runs of more than 100
// percent (make test-long) draw one.
package differ
