// Package server makes a store reachable over TCP: Redis's text protocols (RESP2, RESP3, inline lines) and
// NitroKV's binary protocol on one port, told apart by a connection's first byte.
//
//	srv, err := server.New(server.Options{Listen: []string{"127.0.0.1:6379"}, Logger: slog.Default()})
//	if err != nil {
//		return err
//	}
//	if err := srv.Listen(); err != nil {
//		return errors.Join(err, srv.Shutdown(ctx))
//	}
//	go func() { <-ctx.Done(); stopped <- srv.Shutdown(drain) }()
//	return errors.Join(srv.Serve(), <-stopped)
//
// # Concurrency
//
// A Server's methods may be called from any goroutine. Inside, a connection is one goroutine (conn.go tells its
// life), each listener has one, and one sweeper looks after silent connections (sweep.go). Shutdown waits for
// all of them. Replies that wait for the disk are sent by the store's releasers, or, to a client that is slow to take
// them, by a goroutine that ends before its connection does.
//
// # What happens to a request
//
// The connection reads into a chunk, a buffer in C memory taken from the engine's pool. The engine splits it
// into requests and runs them in order; requests about the connection or the server (HELLO, CLIENT, CONFIG,
// INFO, …) run in Go at their place in the order (hostverbs.go). The replies leave in one write. No request on
// keys allocates Go memory.
//
// # Durability
//
// With Options.Dir every write goes to a log, and a reply waits until what it acknowledges or shows is as safe as the
// level says: the server's, the connection's (CLIENT DURABILITY), or the request's (binary protocol). Waiting replies
// are queued as bytes beside their connection, which goes on reading (deliver.go, pending.go); at level always they leave
// when the disk has what they show. Serve loads the data while connections are accepted already, and requests for it
// are answered LOADING until then (load.go). When the log fails, Options.OnIOError decides: Serve ends with
// ErrLogFailed, or reads of durable data go on.
//
// # Limits
//
// Every limit is a field of Options with a default; hostile input meets them before memory is taken for it.
//
// # Who may connect
//
// With Options.Password a connection can do nothing before it has given the password, in every protocol; until then its
// limits are narrow, and wrong ones are answered ever more slowly (auth.go, backoff.go). Without one, an address that
// other machines can reach is refused unless Options.InsecureNoAuth is set.
package server
