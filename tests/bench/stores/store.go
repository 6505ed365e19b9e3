package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
)

// A store is what the measurements know of a contender. All but close may be called by many goroutines.
type store interface {
	set(key, value []byte) error
	get(dst, key []byte) ([]byte, error) // overwrites dst
	load(pairs []pair) error             // as fast as the store can; for filling, which is not measured
	close() error
}

// A merger can be told to merge.
type merger interface {
	merge(ctx context.Context) error // returns when it is done
}

// A settler has work that follows writes in the background.
type settler interface {
	settle() error // returns when it is done, as it is in a store that runs for long
}

// A meter knows its own memory.
type meter interface {
	residentBytes() uint64
}

type pair struct{ key, value []byte }

// openOptions are what a measurement wants of every store.
type openOptions struct {
	sets      bool // SETs are what is measured: no work for the sake of later starts
	sync      bool // each write is durable when its call returns
	cached    bool // what is read lies in the page cache
	merges    bool // merges are what is measured: none but those that are asked for
	writers   int  // goroutines that write at the same time
	fileBytes int64
}

// A contender is a store under a name, with the options that it is opened with.
type contender struct {
	name    string
	ours    bool
	writes  bool   // takes part in the rows of writing
	reads   bool   // … and in the others
	options string // for the report
	open    func(dir string, o openOptions) (store, error)
}

// missingPeers are those of issue 6 that the module proxy refuses.
const missingPeers = "rosedb v2, nutsdb and a Go bitcask are not among the peers: the module proxy refuses them"

// contenders are all stores, ours first.
// CHECKLIST for another peer: here, doc.go, and indexPeers if it rebuilds an index in memory when it opens.
func contenders() []contender {
	return []contender{
		{nitroName, true, true, true, nitroOptions, openNitro},
		{preadStoreName, true, false, true, preadStoreOptions, openNitroPread},
		{"badger", false, true, true, badgerOptions, openBadger},
		{"bbolt", false, true, true, bboltOptions, openBboltUpdate},
		{"bbolt Batch", false, true, false, bboltBatchOptions, openBboltBatch},
	}
}

// indexPeers says how many of the peers rebuild an index of all keys in memory when they open. badger opens its tables and
// replays the last memtables; bbolt maps its file and reads the list of free pages.
func indexPeers() int { return 0 }

// writing are the contenders of the rows of writing, reading those of the others.
func writing() []contender { return filter(func(c contender) bool { return c.writes }) }
func reading() []contender { return filter(func(c contender) bool { return c.reads }) }

func filter(keep func(contender) bool) []contender {
	var out []contender
	for _, c := range contenders() {
		if keep(c) {
			out = append(out, c)
		}
	}
	return out
}

// isOurs says whether a series is one of our own stores.
func isOurs(name string) bool {
	c, err := named(name)
	return err == nil && c.ours
}

// ours is the contender that the rows are about.
func ours() contender { return contenders()[0] }

// named finds a contender.
func named(name string) (contender, error) {
	for _, c := range contenders() {
		if c.name == name {
			return c, nil
		}
	}
	return contender{}, fmt.Errorf("no store is called %q", name)
}

// list prints the rows and the contenders.
func list(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows() {
		fmt.Fprintf(t, "%s\t%s\t%s\n", r.id, r.limit.text(), r.title)
	}
	fmt.Fprintln(t)
	for _, c := range contenders() {
		fmt.Fprintf(t, "%s\t%s\n", c.name, c.options)
	}
	fmt.Fprintf(t, "\n%s.\n", missingPeers)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the list: %w", err)
	}
	return nil
}
