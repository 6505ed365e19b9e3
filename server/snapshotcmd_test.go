package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nitrokv/nitrokv/engine"
)

// openSnapshot is SNAPSHOT OPEN.
func (c *client) openSnapshot() (handle string, size int64, hash string) {
	c.t.Helper()
	reply, ok := c.do("SNAPSHOT", "OPEN").([]any)
	if !ok || len(reply) != 6 {
		c.t.Fatalf("SNAPSHOT OPEN: %v", reply)
	}
	return fmt.Sprint(reply[0]), reply[1].(int64), reply[5].(string)
}

// readSnapshot reads all of it in pieces.
func (c *client) readSnapshot(handle string, size int64, piece int) []byte {
	c.t.Helper()
	var all []byte
	for {
		part, ok := c.do("SNAPSHOT", "READ", handle, strconv.Itoa(len(all)), strconv.Itoa(piece)).(string)
		if !ok {
			c.t.Fatalf("SNAPSHOT READ at byte %d of %d: an error", len(all), size)
		}
		if all = append(all, part...); part == "" {
			break
		}
	}
	if int64(len(all)) != size {
		c.t.Errorf("%d bytes were read of %d", len(all), size)
	}
	return all
}

// verified writes a snapshot to a file and verifies it.
func verified(t *testing.T, content []byte) engine.SnapshotInfo {
	t.Helper()
	file := filepath.Join(t.TempDir(), "copy")
	must(t, os.WriteFile(file, content, 0o600))
	info, err := engine.VerifySnapshot(file, nil)
	must(t, err)
	return info
}

// TestSnapshotRead in small and large pieces, while newer snapshots take its place.
func TestSnapshotRead(t *testing.T) {
	s := startLogged(t, Options{Compression: engine.CompressionNone})
	c, other := dial(t, s), dial(t, s)
	big := strings.Repeat("0123456789", 600_000)
	c.check(status("OK"), "SET", "big", big)
	for i := range 300 {
		c.check(status("OK"), "SET", fmt.Sprint(i), "v")
	}
	reply := c.do("SNAPSHOT", "OPEN").([]any)
	handle, size := fmt.Sprint(reply[0]), reply[1].(int64)
	other.check(status("OK"), "FLUSHALL")
	other.saveNow()
	other.saveNow()
	for _, piece := range []int{snapshotReadMax, 1_000_003} {
		info := verified(t, c.readSnapshot(handle, size, piece))
		want := []any{reply[0], int64(info.Bytes), int64(info.LSN), info.Time.UnixMilli(), int64(301), info.Hash.String()}
		if fmt.Sprint(reply) != fmt.Sprint(want) {
			t.Errorf("SNAPSHOT OPEN: %v, want %v", reply, want)
		}
	}
	c.check(status("OK"), "SNAPSHOT", "CLOSE", handle)
	c.check(respError(noSnapshot(handle)), "SNAPSHOT", "READ", handle, "0", "1")
}

func noSnapshot(handle string) string {
	return "ERR this connection has opened no snapshot with the handle '" + handle + "': use what SNAPSHOT OPEN has answered on it"
}

// TestSnapshotReadInPipeline: replies keep their order, around one that is written from where it lies, when others wait for
// the disk too.
func TestSnapshotReadInPipeline(t *testing.T) {
	s := startLogged(t, Options{Compression: engine.CompressionNone})
	c := dial(t, s)
	c.check(status("OK"), "SET", "k", strings.Repeat("v", 1<<20))
	handle, size, _ := c.openSnapshot()
	all := string(c.readSnapshot(handle, size, snapshotReadMax))
	var in, want strings.Builder
	for i := range 20 {
		fmt.Fprintf(&in, "SET n %d\r\nSNAPSHOT READ %s %d 300000\r\nGET n\r\nPING\r\n", i, handle, i)
		fmt.Fprintf(&want, "+OK\r\n$300000\r\n%s\r\n$%d\r\n%d\r\n+PONG\r\n", all[i:i+300000], len(fmt.Sprint(i)), i)
	}
	c.send(in.String())
	c.expect(want.String())
}

func TestSnapshotArguments(t *testing.T) {
	c := dial(t, startLogged(t, Options{}))
	c.check(respError("ERR wrong number of arguments for 'snapshot' command"), "SNAPSHOT")
	c.check(respError("ERR wrong number of arguments for 'snapshot|open' command"), "SNAPSHOT", "OPEN", "x")
	c.check(respError("ERR wrong number of arguments for 'snapshot|read' command"), "SNAPSHOT", "READ", "1", "2")
	c.check(respError("ERR unknown subcommand 'LIST'. Try SNAPSHOT HELP."), "SNAPSHOT", "LIST")
	c.check(respError(noSnapshot("1")), "SNAPSHOT", "CLOSE", "1")
	handle, size, _ := c.openSnapshot()
	for _, offset := range []string{"-1", "x", "", "9223372036854775808"} {
		c.check(respError("ERR the offset is not a number of bytes, 0 or more"), "SNAPSHOT", "READ", handle, offset, "1")
	}
	for _, n := range []string{"0", "-1", "x", "4194305"} {
		c.check(respError("ERR the number of bytes is not 1 to 4194304"), "SNAPSHOT", "READ", handle, "0", n)
	}
	c.check("", "SNAPSHOT", "READ", handle, strconv.FormatInt(size, 10), "4194304")
	c.check("", "SNAPSHOT", "READ", handle, "9223372036854775807", "4194304")
	c.check(respError("ERR this connection has a snapshot open: SNAPSHOT CLOSE "+handle+" first"), "SNAPSHOT", "OPEN")
	c.check(respError(noSnapshot("0"+handle)), "SNAPSHOT", "CLOSE", "0"+handle)
}

// TestSnapshotsAreLimited: so many on a server; a handle is its connection's, and ends with it.
func TestSnapshotsAreLimited(t *testing.T) {
	s := startLogged(t, Options{})
	var clients []*client
	for range snapshotsMax {
		c := dial(t, s)
		c.openSnapshot()
		clients = append(clients, c)
	}
	c := dial(t, s)
	tooMany := respError("ERR 4 snapshots are being read, which is the most: try again when one of them is done")
	c.check(tooMany, "SNAPSHOT", "OPEN")
	c.check(respError(noSnapshot("1")), "SNAPSHOT", "READ", "1", "0", "1")
	must(t, clients[0].Close())
	waitFor(t, "the end of the connection", func() bool { return s.total.snapshots.Load() == snapshotsMax-1 })
	c.openSnapshot()
	dial(t, s).check(tooMany, "SNAPSHOT", "OPEN")
	c.check(status("RESET"), "RESET")
	dial(t, s).openSnapshot()
}

// TestSnapshotNeedsPassword like everything else.
func TestSnapshotNeedsPassword(t *testing.T) {
	s := startLogged(t, Options{Password: "secret"})
	c := dial(t, s)
	for _, request := range append([]string{"LASTSAVE", "SNAPSHOT READ 1 0 1", "SNAPSHOT CLOSE 1"}, withoutFolder...) {
		c.check(respError("NOAUTH Authentication required."), strings.Fields(request)...)
	}
	c.check(status("OK"), "AUTH", "secret")
	c.openSnapshot()
}
