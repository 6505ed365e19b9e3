package server

import (
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// spareDescriptors are those that are not clients' connections: listeners, the poller, standard streams, files of the
// store and those read by INFO, HTTP connections, snapshots that are handed out, backups that are written.
const spareDescriptors = 32 + httpConns + 32

// ensureDescriptors raises the soft limit of open files as far as the clients need it, the hard limit too where the
// process may.
func ensureDescriptors(clients int) error {
	need := uint64(clients) + spareDescriptors
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return fmt.Errorf("server: the limit of open files cannot be read: %w", err)
	}
	if lim.Cur >= need {
		return nil
	}
	want := syscall.Rlimit{Cur: need, Max: max(lim.Max, need)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err == nil {
		return nil
	}
	// Report what would be reached without privileges.
	possible := int64(lim.Max) - spareDescriptors
	advice := fmt.Sprintf("raise it (ulimit -n %d)", need)
	if possible >= 1 {
		advice += fmt.Sprintf(" or serve fewer clients (--max-clients %d)", possible)
	}
	return fmt.Errorf("server: %d clients need %d open files, and this process may have %d: %s",
		clients, need, lim.Max, advice)
}

// effectiveMaxMemory turns Options.MaxMemory into bytes (0: no limit) and says where they come from.
func effectiveMaxMemory(option int64) (bytes int64, why string) {
	switch {
	case option < 0:
		return 0, "no limit was asked for"
	case option > 0:
		return option, "it was asked for"
	}
	limit := cgroupMemory(os.ReadFile)
	if limit == 0 {
		return 0, "no limit is set, and the process is in no cgroup with one"
	}
	return limit / 10 * 8, "80 % of the cgroup's limit"
}

// unlimitedMemory: cgroup v1 says "no limit" with a number near 2^63.
const unlimitedMemory = 1 << 60

// cgroupMemory returns the smallest memory limit of this process's cgroups, 0 for none. A file that doesn't
// exist or doesn't parse is no limit: there are machines without any of them.
func cgroupMemory(readFile func(string) ([]byte, error)) int64 {
	list, err := readFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	var limit int64
	for line := range strings.Lines(string(list)) {
		// hierarchy:controllers:path; version 2 has hierarchy 0 and no controllers.
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		root, file := "/sys/fs/cgroup", "memory.max"
		if f[1] == "memory" {
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if f[0] != "0" {
			continue
		}
		// A limit of any ancestor binds too. In a container the path may not exist, only the root does.
		for dir := path.Clean("/" + f[2]); ; dir = path.Dir(dir) {
			if n := readLimit(readFile, root+path.Join(dir, file)); n > 0 && (limit == 0 || n < limit) {
				limit = n
			}
			if dir == "/" {
				break
			}
		}
	}
	return limit
}

func readLimit(readFile func(string) ([]byte, error), name string) int64 {
	b, err := readFile(name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n >= unlimitedMemory {
		return 0
	}
	return n
}
