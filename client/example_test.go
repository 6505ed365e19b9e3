package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/nitrokv/nitrokv/client"
)

// The examples talk to a stand-in from this package's tests; a program gives its server's address.
func Example() {
	addr, stop := client.StartFake()
	defer stop()
	c, err := client.Open(addr, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	if err := c.Set(ctx, "user:1", []byte("Ada"), client.WithTTL(time.Hour)); err != nil {
		log.Fatal(err)
	}
	name, err := c.Get(ctx, "user:1")
	fmt.Printf("%s %v\n", name, err)
	_, err = c.Get(ctx, "user:2")
	fmt.Println(errors.Is(err, client.ErrNotFound))
	fmt.Println(err)
	// Output:
	// Ada <nil>
	// true
	// nitrokv: GET "user:2": no such key
}

// Two clients change the same key: one of them has to read again.
func ExampleClient_CompareAndSwap() {
	addr, stop := client.StartFake()
	defer stop()
	c, err := client.Open(addr, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	created, err := c.CompareAndSwap(ctx, "config", []byte("a=1"), 0) // 0: must not exist
	if err != nil {
		log.Fatal(err)
	}
	if _, err = c.CompareAndSwap(ctx, "config", []byte("a=2"), created); err != nil {
		log.Fatal(err)
	}
	_, err = c.CompareAndSwap(ctx, "config", []byte("a=3"), created) // out of date
	fmt.Println(errors.Is(err, client.ErrVersionMismatch))
	item, err := c.GetItem(ctx, "config")
	fmt.Printf("%s %v\n", item.Value, err)
	// Output:
	// true
	// a=2 <nil>
}

// A batch is one round trip for many requests.
func ExampleClient_Batch() {
	addr, stop := client.StartFake()
	defer stop()
	c, err := client.Open(addr, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	b := c.Batch()
	b.Set("greeting", []byte("hello"))
	b.Get("greeting")
	b.Incr("visits", 1)
	results, err := b.Do(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %d\n", results[1].Value, results[2].Int)
	// Output: hello 1
}

// What may be lost if the power fails, and what must not, over the same connections.
func ExampleClient_WithDurability() {
	addr, stop := client.StartFake()
	defer stop()
	c, err := client.Open(addr, &client.Options{Durability: client.Always})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	if err := c.Set(ctx, "order:7", []byte("paid")); err != nil {
		log.Fatal(err)
	}
	quick := c.WithDurability(client.Never)
	for i := range 3 {
		if err := quick.Set(ctx, fmt.Sprint("seen:", i), nil); err != nil {
			log.Fatal(err)
		}
	}
	// Now the quick ones are on disk as well.
	fmt.Println(c.Sync(ctx))
	// Output: <nil>
}

// A value that one of several workers gets.
func ExampleClient_GetDel() {
	addr, stop := client.StartFake()
	defer stop()
	c, err := client.Open(addr, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	if err := c.Set(ctx, "ticket", []byte("7")); err != nil {
		log.Fatal(err)
	}
	ticket, err := c.GetDel(ctx, "ticket")
	fmt.Printf("%s %v\n", ticket, err)
	_, err = c.GetDel(ctx, "ticket")
	fmt.Println(errors.Is(err, client.ErrNotFound))
	// Output:
	// 7 <nil>
	// true
}

// Reading a session makes it last longer.
func ExampleClient_GetEx() {
	addr, stop := client.StartFake()
	defer stop()
	c, err := client.Open(addr, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	if err := c.Set(ctx, "session:9", []byte("Ada"), client.WithTTL(time.Minute)); err != nil {
		log.Fatal(err)
	}
	user, err := c.GetEx(ctx, "session:9", client.WithTTL(time.Hour))
	if err != nil {
		log.Fatal(err)
	}
	ttl, err := c.TTL(ctx, "session:9")
	fmt.Printf("%s %v %v\n", user, ttl > time.Minute, err)
	// Output: Ada true <nil>
}

// A lease may be shortened, but nobody makes it longer.
func ExampleClient_Expire() {
	addr, stop := client.StartFake()
	defer stop()
	c, err := client.Open(addr, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	if err := c.Set(ctx, "lease", []byte("me"), client.WithTTL(time.Hour)); err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Expire(ctx, "lease", time.Minute, client.ExpireIfSooner))
	err = c.Expire(ctx, "lease", 2*time.Hour, client.ExpireIfSooner)
	fmt.Println(errors.Is(err, client.ErrNotStored))
	// Output:
	// <nil>
	// true
}

// Build under another name, then show it all at once.
func ExampleClient_Rename() {
	addr, stop := client.StartFake()
	defer stop()
	c, err := client.Open(addr, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	for _, line := range []string{"a\n", "b\n"} {
		if _, err := c.Append(ctx, "report.new", []byte(line)); err != nil {
			log.Fatal(err)
		}
	}
	if err := c.Rename(ctx, "report.new", "report"); err != nil {
		log.Fatal(err)
	}
	report, err := c.Get(ctx, "report")
	fmt.Printf("%q %v\n", report, err)
	// Output: "a\nb\n" <nil>
}

// A loop that saw no error saw every key.
func ExampleClient_Scan() {
	addr, stop := client.StartFake()
	defer stop()
	c, err := client.Open(addr, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	pairs := []client.KV{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("22")}}
	if err := c.MSet(ctx, pairs); err != nil {
		log.Fatal(err)
	}
	for entry, err := range c.Scan(ctx, client.ScanOptions{Metadata: true}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Key, entry.Size)
	}
	// Unordered output:
	// a 1
	// b 2
}
