// Package resp is a small client connection for Redis's protocols, RESP2 and RESP3. "nitrokv cli" speaks it, because its
// users type commands and want to see what any Redis-compatible server says to them; "nitrokv load" reads other servers
// with it.
//
//	c, err := resp.Dial(ctx, "127.0.0.1:6379", resp.Options{Timeout: 10 * time.Second})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	v, err := c.Do(ctx, "GET", "user_id")
//
// An error reply is a Value like any other, of kind Error; a Go error means that there is no reply, and from then on the
// connection is of no use. Pipelines are Send, Send, …, Flush, then one Receive for each Send.
//
// # Concurrency
//
// A Conn belongs to one goroutine, or to two: one that calls Send and Flush, and one that calls Receive. Close may be
// called from anywhere.
//
// # Trust
//
// Nothing that a server announces is believed: memory grows with the bytes that have come, values may nest maxDepth
// deep, lines and strings have limits, and a server that is silent for Options.Timeout is given up.
package resp
