package transfer

import (
	"context"
	"iter"
	"time"
)

// An Entry is a key with its value, on the way from one place to another.
type Entry struct {
	Key     string
	Value   []byte
	Expires time.Time // zero: never
	Line    int64     // of the file that it comes from, from 1; 0: it comes from a server
}

// expired reports whether the entry's time is over.
func (e *Entry) expired(now time.Time) bool { return !e.Expires.IsZero() && !e.Expires.After(now) }

// An EntryError is about one entry; the others are not concerned.
type EntryError struct {
	Place string // "users.tsv:17", or the key for an entry from a server
	Err   error
}

// Error implements error.
func (e *EntryError) Error() string { return e.Place + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *EntryError) Unwrap() error { return e.Err }

// A Source is where a load takes its entries from. It belongs to the load, but for Progress.
type Source interface {
	// Entries yields every entry, once. An error that is an *EntryError stands in the place of one entry, and the next
	// may follow; any other error is the last thing that it yields. When ctx ends it yields nothing more.
	Entries(ctx context.Context) iter.Seq2[Entry, error]

	// Place says where an entry stands, for messages about it.
	Place(e *Entry) string

	// Progress says how much has been read in a unit of the source's own, and of how much; total 0 means that it isn't
	// known. It may be called at any time, from any goroutine.
	Progress() (done, total int64)
}
