package engine_test

import (
	"errors"
	"fmt"
	"log"

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
