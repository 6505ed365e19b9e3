// Package client talks to a NitroKV server over its binary protocol. It is pure Go and imports the
// standard library and package proto only, so a program that uses it needs no C compiler.
//
//	c, err := client.Open("127.0.0.1:6379", nil)
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	if err := c.Set(ctx, "user:1", []byte("Ada"), client.WithTTL(time.Hour)); err != nil {
//		return err
//	}
//	name, err := c.Get(ctx, "user:1")
//	if errors.Is(err, client.ErrNotFound) {
//		…
//	}
//
// # Concurrency
//
// A [Client] is safe for concurrent use, and gets faster by it: it holds one connection per processor,
// and calls of many goroutines that meet on a connection leave in one write (auto-pipelining). A key
// always uses the same connection. One goroutine that wants many answers at once uses a [Batch], or
// MGet and MSet.
//
// # Contexts
//
// Every call ends when its context does. A call that ends before its request was queued has changed
// nothing. Later, the request is on its way: a read just returns the context's error, a write returns an
// error that is [ErrOutcomeUnknown] as well as the context's error, because the server may carry it out.
//
// # Passwords
//
// A server with a password answers [ErrUnauthorized] to a client that has none: set [Options].Password. It is
// sent on every new connection, after the server has shown that it is a NitroKV server, and stands in no error.
//
// # Failures
//
// Errors are [*Error] values; compare them with errors.Is and the Err… variables. Connections are made
// when they are first needed and replaced when they break, with growing random pauses while the server
// is away. A read whose connection broke is repeated once. A write is repeated only if it surely was
// not carried out: its bytes had not left completely, or the server said "not applied". Else it returns
// ErrOutcomeUnknown, and the caller decides: for instance by reading the key, or by having used
// [Client.CompareAndSwap] in the first place.
//
// # Durability
//
// A call that has returned nil is as safe as the server's level says: on disk, unless the server was started
// with another one. [Options].Durability and [Client.WithDurability] choose another level for a client or a
// call, [Client.Sync] makes everything durable that was acknowledged before it. What an error says about a
// write holds: [ErrBusy], [ErrLoading], [ErrLogFull], [ErrReadOnly] and [ErrOutOfMemory] mean that nothing was
// applied, ErrOutcomeUnknown that it may be there, or may be after a restart of the server. [ErrNotDurable]
// withholds an answer that a restart could take back. A server that is loading its data is waited for while
// the context lasts; without a deadline, for a few tries.
//
// # Caveats
//
// Values are copied: once when sent, once when received. A context without a deadline and a server that
// accepts requests but never answers make a call wait forever.
package client
