package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/nitrokv/nitrokv/engine"
)

// A program that embeds the engine: no server, no socket.
func Example() {
	store, err := engine.Open(engine.Options{MaxMemory: 1 << 30})
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			log.Print(err)
		}
	}()

	if err := store.Set([]byte("user_id"), []byte("42069")); err != nil {
		log.Print(err)
	}
	value, err := store.Get(nil, []byte("user_id"))
	fmt.Printf("%s %v\n", value, err)

	_, err = store.Get(nil, []byte("nobody"))
	fmt.Println(errors.Is(err, engine.ErrNotFound))

	visits, err := store.Incr([]byte("visits"), 3)
	fmt.Println(visits, err)
	// Output:
	// 42069 <nil>
	// true
	// 3 <nil>
}

// CompareAndSwap changes a value only if nobody else has.
func ExampleStore_CompareAndSwap() {
	store, err := engine.Open(engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			log.Print(err)
		}
	}()

	key := []byte("config")
	version, err := store.CompareAndSwap(key, []byte("v1"), 0) // 0: must not exist
	fmt.Println(err)
	_, err = store.CompareAndSwap(key, []byte("v2"), version)
	fmt.Println(err)
	_, err = store.CompareAndSwap(key, []byte("v3"), version) // an old version now
	fmt.Println(errors.Is(err, engine.ErrVersion))
	// Output:
	// <nil>
	// <nil>
	// true
}

// OpenSnapshot makes a backup while the store is in use, Restore makes a data folder from it.
func ExampleStore_OpenSnapshot() {
	dir, err := os.MkdirTemp("", "nitrokv")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := engine.Open(engine.Options{Dir: filepath.Join(dir, "data")})
	if err != nil {
		log.Fatal(err)
	}
	err = store.Set([]byte("user_id"), []byte("42069"))
	fmt.Println(err)

	snapshot, err := store.OpenSnapshot(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	backup := filepath.Join(dir, "backup")
	to, err := os.Create(backup)
	if err != nil {
		log.Fatal(err)
	}
	_, err = io.Copy(to, io.NewSectionReader(snapshot, 0, snapshot.Size()))
	fmt.Println(err, to.Close(), snapshot.Close(), store.Close())

	_, err = engine.VerifySnapshot(backup, nil)
	fmt.Println(err)
	result, err := engine.Restore(engine.RestoreOptions{From: backup, Dir: filepath.Join(dir, "restored")})
	fmt.Println(result.Keys, err)
	// Output:
	// <nil>
	// <nil> <nil> <nil> <nil>
	// <nil>
	// 1 <nil>
}

// With a folder the data is there again after a restart; Write makes several changes as one.
func ExampleStore_Write() {
	dir, err := os.MkdirTemp("", "nitrokv")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := engine.Open(engine.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	err = store.Write([]engine.Op{
		{Key: []byte("from"), Value: []byte("90")},
		{Key: []byte("to"), Value: []byte("110")},
		{Key: []byte("pending"), Delete: true},
	})
	fmt.Println(err, store.Close())

	store, err = engine.Open(engine.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	from, err := store.Get(nil, []byte("from"))
	fmt.Printf("%s %v %v\n", from, err, store.Close())
	// Output:
	// <nil> <nil>
	// 90 <nil> <nil>
}

// With ModeBitcask the values stay on disk; Merge gives back the room of what has been overwritten.
func ExampleStore_Merge() {
	dir, err := os.MkdirTemp("", "nitrokv")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := engine.Open(engine.Options{Dir: dir, Mode: engine.ModeBitcask, Level: engine.LevelNever})
	if err != nil {
		log.Fatal(err)
	}
	for i := range 1000 {
		if err := store.Set([]byte("counter"), fmt.Append(nil, i)); err != nil {
			log.Print(err)
		}
	}
	fmt.Println(store.Merge(context.Background()))
	value, err := store.Get(nil, []byte("counter"))
	fmt.Printf("%s %v\n", value, err)
	fmt.Println(store.DataFiles().MergeDroppedBytes > 0, store.Close())
	// Output:
	// <nil>
	// 999 <nil>
	// true <nil>
}
