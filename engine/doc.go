// Package engine embeds the NitroKV engine: a key-value store in memory, written in C, as a Go library.
//
//	store, err := engine.Open(engine.Options{MaxMemory: 1 << 30})
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//	if err := store.Set([]byte("user_id"), []byte("42069")); err != nil {
//		return err
//	}
//	value, err := store.Get(nil, []byte("user_id")) // "42069"
//
// # Concurrency
//
// A Store may be used from any number of goroutines. Single calls are atomic; CompareAndSwap builds larger
// changes from them. A Session and a Chunk, which a server uses, belong to one goroutine at a time.
//
// # Memory
//
// Keys and values live in C memory: the garbage collector neither sees nor scans them. Get appends a copy to
// the caller's slice, Set copies its arguments; there is nothing to free but the Store itself. GOMEMLIMIT does
// not cover this memory, Options.MaxMemory does.
//
// # Errors
//
// Every failure that the engine knows has a sentinel of type Error (ErrNotFound, ErrMaxMemory, …); compare with
// errors.Is.
//
// # Caveats
//
// Nothing is kept beyond the life of the process. Building the package needs a C compiler (gcc or clang). The
// clock that decides about expiry never goes backwards and follows changes of the system's clock slowly.
//
// # Layout
//
// engine.go opens and closes, kv.go and scan.go are the calls of an embedding program, chunk.go is what a
// server uses: a whole read buffer of requests per call into C. gate.go keeps exclusive work apart from all
// other, drive.go runs the background work, clock.go is the time.
package engine
