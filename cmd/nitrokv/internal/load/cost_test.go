package load

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

// constantServer answers every whole GET that it has got with the same value, without looking at it: the fastest
// server there can be, so what is measured is the generator.
func constantServer(b *testing.B, request, reply int, answer []byte) (addr string) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { answerConstantly(c, request, reply, answer) })
		}
	})
	b.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

func answerConstantly(c net.Conn, request, reply int, answer []byte) {
	defer c.Close()
	in, have := make([]byte, 64<<10), 0
	for {
		n, err := c.Read(in)
		if err != nil {
			return
		}
		have += n
		if _, err := c.Write(answer[:have/request*reply]); err != nil {
			return
		}
		have %= request
	}
}

// BenchmarkCost shows what a request costs the generator's thread, which must stay well below what a server needs.
//
//	go test -run '^$' -bench Cost -benchtime 1000000x ./cmd/nitrokv/internal/load
func BenchmarkCost(b *testing.B) {
	w := newRESPWire("key:")
	request := len(w.appendGet(nil, 0, 0))
	reply := []byte("$64\r\n" + string(bytes.Repeat([]byte{'x'}, 64)) + "\r\n")
	answer := bytes.Repeat(reply, 64<<10/request+1)
	for _, pipeline := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("pipeline=%d", pipeline), func(b *testing.B) {
			r, err := Run(b.Context(), Config{
				Addr: constantServer(b, request, len(reply), answer), Protocol: RESP, Clients: 50, Pipeline: pipeline, Threads: 1,
				Keys: 1e6, ValueMin: 64, ValueMax: 64, ReadRatio: 1, Distribution: Uniform, Requests: int64(b.N), Timeout: time.Minute,
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(r.Generator.UserNs, "user-ns/req")
			b.ReportMetric(r.Generator.SystemNs, "system-ns/req")
		})
	}
}
