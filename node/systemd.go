package node

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"reprise/internal/handover"
	"reprise/tlsconn"
)

// Under systemd the node reports its state (Type=notify), is watched (WatchdogSec=), may get its
// listening sockets from a .socket unit, and, where the unit has a store for descriptors
// (FileDescriptorStoreMax=), leaves sockets and sessions there when it ends, for the process that
// is started next.

// Names of descriptors in the store: systemd allows no colon in them.
var (
	storeName   = strings.NewReplacer(":", "|")
	storedName  = strings.NewReplacer("|", ":")
	storePrefix = "reprise "
	estateName  = storePrefix + "estate"
)

// tellManager sends systemd a state, if it runs.
func tellManager(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		slog.Warn("cannot tell the service manager the state of this process", "error", err)
	}
}

// fromManager returns the inheritance that systemd has for this process.
func fromManager() *inheritance {
	in := &inheritance{memory: -1}
	var files []handover.File
	for _, f := range activation.Files(true) {
		// f closes its descriptor when it is collected
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		f.Close()
		if err != nil {
			continue
		}
		name, ours := strings.CutPrefix(f.Name(), storePrefix)
		if ours {
			in.stored = append(in.stored, f.Name())
		}
		switch {
		case f.Name() == estateName && in.memory < 0:
			in.memory = fd
		case f.Name() == estateName:
			unix.Close(fd)
		case ours:
			files = append(files, handover.File{Name: storedName.Replace(name), FD: fd})
		default:
			files = append(files, handover.File{Name: activatedName(fd), FD: fd})
		}
	}
	if len(files) > 0 {
		in.sockets = handover.NewSet(files)
	}
	if in.memory >= 0 {
		e, err := peekEstate(in.memory)
		if err != nil {
			slog.Warn("what the process before has left is of no use", "error", err)
			unix.Close(in.memory)
			in.memory = -1
		}
		in.estate = e
	}
	return in
}

// takeFromManager empties the store before its content is used: even if this process fails, the
// next one must not find sessions that were forgotten or spent since.
func (in *inheritance) takeFromManager() {
	slices.Sort(in.stored)
	for _, name := range slices.Compact(in.stored) {
		tellManager("FDSTOREREMOVE=1\nFDNAME=" + name)
	}
	in.stored = nil
}

// activatedName names a socket of a .socket unit by its address.
func activatedName(fd int) string {
	kind := "tcp"
	if domain, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); domain == unix.AF_UNIX {
		kind = "unix"
	} else if t, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); t == unix.SOCK_DGRAM {
		kind = udpSocket
	}
	return socketName(kind, boundTo(fd))
}

// spellings are the addresses by which a socket for address may be named: systemd binds an address
// without a host to a wildcard.
func spellings(address string) []string {
	port, anyHost := strings.CutPrefix(address, ":")
	if !anyHost {
		if at, err := netip.ParseAddrPort(address); err == nil {
			return []string{address, at.String()}
		}
		return []string{address}
	}
	return []string{address, "[::]:" + port, "0.0.0.0:" + port}
}

// maxEstateHead has room for all backends that may subscribe, with the longest possible names.
const maxEstateHead = 8 << 20

// peekEstate reads the head of an estate, and leaves the file as it is.
func peekEstate(fd int) (*estate, error) {
	var n [4]byte
	if _, err := unix.Pread(fd, n[:], 0); err != nil {
		return nil, err
	}
	head := make([]byte, min(binary.BigEndian.Uint32(n[:]), maxEstateHead))
	if _, err := unix.Pread(fd, head, 4); err != nil {
		return nil, err
	}
	e := new(estate)
	return e, json.Unmarshal(head, e)
}

// managerStores reports whether systemd keeps descriptors for the next process.
func managerStores() bool {
	n, _ := strconv.Atoi(os.Getenv("FDSTORE"))
	return n > 0 && os.Getenv("NOTIFY_SOCKET") != ""
}

// storeSockets leaves the listening sockets to the next process: clients that connect from now on
// wait for it. It reports whether systemd has them.
func (n *Node) storeSockets() bool {
	files, free := n.sockets()
	defer free()
	byName := make(map[string][]int)
	for _, f := range files {
		byName[f.Name] = append(byName[f.Name], f.FD)
	}
	for name, fds := range byName {
		if err := keepStored(storePrefix+storeName.Replace(name), fds...); err != nil {
			slog.Warn("the service manager does not keep a socket for the next process", "socket",
				name, "error", err)
			return false
		}
	}
	return true
}

// storeEstate leaves the node's state to the next process.
func (n *Node) storeEstate() {
	undo := n.suspend(noHeir{})
	e := &estate{ID: n.id, Replication: n.replicationState}
	memory, err := n.writeEstate(e)
	if err == nil {
		defer memory.Close()
		var fd int
		if fd, err = copyOf(memory); err == nil {
			err = keepStored(estateName, fd)
			unix.Close(fd)
		}
	}
	if err != nil {
		undo()
		slog.Warn("the service manager does not keep sessions for the next process", "error", err)
		return
	}
	awaitManager()
	if n.poller != nil {
		_ = n.poller.Retire() // peers wait for the next process
	}
}

// keepStored has systemd keep copies of descriptors under a name.
func keepStored(name string, fds ...int) error {
	return tellWith("FDSTORE=1\nFDPOLL=0\nFDNAME="+name, fds...)
}

// tellWith sends systemd a state with descriptors.
func tellWith(state string, fds ...int) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	patience := unix.NsecToTimeval(int64(messageTime))
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience)
	to := &unix.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")} // one that begins with @ is abstract
	return os.NewSyscallError("sendmsg", unix.Sendmsg(fd, []byte(state), unix.UnixRights(fds...),
		to, 0))
}

// awaitManager returns when systemd has handled all messages, or does not answer.
func awaitManager() {
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	defer r.Close()
	fd, err := copyOf(w)
	w.Close()
	if err != nil {
		return
	}
	err = tellWith("BARRIER=1", fd)
	unix.Close(fd)
	if err == nil {
		_ = r.SetReadDeadline(time.Now().Add(messageTime))
		_, _ = r.Read(make([]byte, 1)) // it closes its copy
	}
}

// noHeir is the heir of a process whose connections have ended.
type noHeir struct{}

func (noHeir) Made([16]byte, []byte, time.Duration, time.Duration) {}
func (noHeir) Deleted([16]byte, time.Duration)                     {}
func (noHeir) Release([16]byte, tlsconn.NodeID, uint64)            {}

// beWatched tells systemd's watchdog that the node lives, as long as its loops run.
func (n *Node) beWatched() {
	every, err := daemon.SdWatchdogEnabled(false) // a successor is watched too
	if err != nil {
		slog.Warn("the watchdog's time cannot be read", "error", err)
	}
	if every <= 0 {
		return
	}
	ticker := time.NewTicker(every / 2)
	defer ticker.Stop()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), every/2)
		if err := n.engine.Turn(ctx); err == nil {
			tellManager(daemon.SdNotifyWatchdog)
		} else if !errors.Is(err, context.DeadlineExceeded) {
			cancel()
			return
		}
		cancel()
		select {
		case <-n.stop:
			return
		case <-ticker.C:
		}
	}
}

// monotonic is the time by which systemd orders reloads.
func monotonic() string {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return strconv.FormatInt(cmp.Or(ts.Nano()/1000, 1), 10)
}
