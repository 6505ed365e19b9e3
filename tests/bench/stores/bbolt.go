package main

import (
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

const (
	bboltOptions = "FreelistType map; NoFreelistSync in set-nosync and set-sync alone (its price is paid by the " +
		"next start); NoSync except in set-sync; one DB.Update or DB.View a call, " +
		"the value copied"
	bboltBatchOptions = "… writes with DB.Batch, MaxBatchSize as many as there are writers, so that it waits for nobody " +
		"who can't come; MaxBatchDelay 1 ms"
	bboltBatchDelay = time.Millisecond
)

// bboltStore is one bucket; apply is DB.Update or DB.Batch.
type bboltStore struct {
	db     *bbolt.DB
	bucket []byte
	apply  func(func(*bbolt.Tx) error) error
}

func openBboltUpdate(dir string, o openOptions) (store, error) {
	b, err := openBbolt(dir, o)
	if err != nil {
		return nil, err
	}
	b.apply = b.db.Update
	return b, nil
}

func openBboltBatch(dir string, o openOptions) (store, error) {
	b, err := openBbolt(dir, o)
	if err != nil {
		return nil, err
	}
	b.db.MaxBatchSize, b.db.MaxBatchDelay = max(o.writers, 1), bboltBatchDelay
	b.apply = b.db.Batch
	return b, nil
}

func openBbolt(dir string, o openOptions) (*bboltStore, error) {
	opt := *bbolt.DefaultOptions
	opt.FreelistType, opt.NoFreelistSync, opt.NoSync = bbolt.FreelistMapType, o.sets, !o.sync
	db, err := bbolt.Open(filepath.Join(dir, "bbolt.db"), 0o600, &opt)
	if err != nil {
		return nil, fmt.Errorf("open bbolt: %w", err)
	}
	b := &bboltStore{db: db, bucket: []byte("b")}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(b.bucket)
		return err
	})
	if err != nil {
		_ = db.Close() // the first error says more
		return nil, fmt.Errorf("make bbolt's bucket: %w", err)
	}
	return b, nil
}

func (b *bboltStore) set(key, value []byte) error {
	return b.apply(func(tx *bbolt.Tx) error { return tx.Bucket(b.bucket).Put(key, value) })
}

func (b *bboltStore) get(dst, key []byte) ([]byte, error) {
	found := false
	err := b.db.View(func(tx *bbolt.Tx) error {
		value := tx.Bucket(b.bucket).Get(key)
		dst, found = append(dst[:0], value...), value != nil
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("bbolt has no key %q", key)
	}
	return dst, err
}

func (b *bboltStore) load(pairs []pair) error {
	return b.db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(b.bucket)
		for _, p := range pairs {
			if err := bucket.Put(p.key, p.value); err != nil {
				return err
			}
		}
		return nil
	})
}

// close syncs first: with NoSync bbolt itself would not.
func (b *bboltStore) close() error {
	if err := b.db.Sync(); err != nil {
		return fmt.Errorf("sync bbolt: %w", err)
	}
	if err := b.db.Close(); err != nil {
		return fmt.Errorf("close bbolt: %w", err)
	}
	return nil
}
