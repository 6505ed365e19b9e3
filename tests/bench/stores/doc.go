// Stores measures NitroKV's Go package engine, in the mode that keeps values on disk, beside Go's own stores.
//
//	go run .                         # every row
//	go run . -rows set,get-cached    # the rows whose id begins with one of these
//	go run . -quick                  # a rehearsal: few keys, short rounds, not for the record
//	go run . -out rows.md            # also as Markdown, for docs/BENCHMARKS.md
//	go run . -list                   # the ids, the limits, the contenders and their options
//
// It is a module of its own, so that none of the stores is a dependency of NitroKV.
//
// # What runs
//
// The peers are badger and bbolt. Issue 6 also names rosedb, nutsdb and a Go bitcask: the module proxy refuses them, so
// "the best of them" is the best of two here, and the row startup-peers, which is about stores that rebuild an index
// in memory when they open, has nobody to be compared with. Every report says so.
//
// All contenders do the same work: one call for one operation, the same number of goroutines, the same keys in the same
// (shuffled) order, values that can't be compressed, and a GET copies the value into the caller's slice. -list shows
// the options of each. bbolt takes part in the rows of writing twice, with DB.Update and with DB.Batch, which is also
// one call for one operation; the better of the two counts.
//
// Each measurement is a process of its own, this program started again, so that one store's heap and collector do not
// disturb another. Rounds alternate between the contenders, and each round begins with another one.
//
// A value carries the number of its key. The rows of writing close the store, open it again and compare every
// value whole; the rows of reading compare each value's length and number.
//
// # Rows
//
// set-nosync and set-sync count SETs alone, from the first call to the last return; what closing adds is shown as well.
// get-cached reads every key once before the clock starts. Our own store maps its files there (Options.MapFiles), as bbolt does; how it reads
// without that is shown beside it.
//
// get-cold compares GETs with a loop of pread on the same files, as many goroutines, at random offsets and of the size of
// a record. The page cache is kept small by hand: each measurement writes back and drops the pages of these files
// (posix_fadvise, POSIX_FADV_DONTNEED), looks whether they have gone (cachestat), and ends after reading one key in
// 50 at most, so that few reads find what an earlier one has fetched. GOMAXPROCS is four times the number of processors, on both sides:
// with less it is Go's scheduler that limits both. Dropping by file leaves the rest of the machine
// alone. A hypervisor may still have the data in a cache of its own, from which both sides gain.
//
// startup-hints opens folders with and without their hint files, all of which were written before the folder was closed, after dropping the
// pages of all its files. Each folder is opened once: what is read a second time may come from a hypervisor's cache.
//
// merge-p99-get and -set have one goroutine for GETs and one for SETs, each at a fixed rate, first without and then during
// merges, which are asked for again and again after half of the keys have been overwritten; only what begins while one runs
// counts. An operation that is due while the one before it still runs counts from when it was due. One before which the
// goroutine slept counts from its waking: how late the system wakes a sleeper is not the store's doing.
//
// ram-per-key is the growth from a store that has one key, written so often that all buffers are in place, to one with
// many; once as the process's resident memory (/proc/self/statm) and once as Stats has it. The larger one counts.
//
// # Verdicts
//
// A ratio is that of two medians: ours and the best peer's, or what the row's title names. A row is measured again, and in
// the end reported as DISCARDED, when the samples of what we are compared with spread by more than 10 %
// ((max − min) / median) and our worst sample beside its best one would not pass; attempts that were thrown away stay in the report. NO PEER is a row for which none of the peers
// that it is about can be had. The exit status is 0 also with misses; 1 when a measurement failed; 2 when this machine
// cannot measure (no disk, too little room) or for a wrong flag.
package main
