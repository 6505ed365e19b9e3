package main

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// What differs from badger's defaults is what its documentation advises for this use: a block cache only costs where
// nothing is compressed, and conflicts of transactions are of no interest to a SET that reads nothing.
const badgerOptions = "v4: DefaultOptions, Compression None, BlockCacheSize 0, DetectConflicts false, MetricsEnabled false; " +
	"SyncWrites in set-sync alone; one db.Update or db.View a call, ValueCopy"

type badgerStore struct{ db *badger.DB }

func openBadger(dir string, o openOptions) (store, error) {
	opt := badger.DefaultOptions(dir).WithLogger(nil).WithMetricsEnabled(false).WithCompression(options.None).
		WithBlockCacheSize(0).WithDetectConflicts(false).WithSyncWrites(o.sync)
	db, err := badger.Open(opt)
	if err != nil {
		return nil, fmt.Errorf("open badger: %w", err)
	}
	return badgerStore{db}, nil
}

func (b badgerStore) set(key, value []byte) error {
	return b.db.Update(func(txn *badger.Txn) error { return txn.Set(key, value) })
}

func (b badgerStore) get(dst, key []byte) (value []byte, err error) {
	err = b.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		value, err = item.ValueCopy(dst)
		return err
	})
	return value, err
}

func (b badgerStore) load(pairs []pair) error {
	batch := b.db.NewWriteBatch()
	defer batch.Cancel()
	for _, p := range pairs {
		if err := batch.Set(p.key, p.value); err != nil {
			return err
		}
	}
	return batch.Flush()
}

func (b badgerStore) close() error {
	if err := b.db.Close(); err != nil {
		return fmt.Errorf("close badger: %w", err)
	}
	return nil
}
