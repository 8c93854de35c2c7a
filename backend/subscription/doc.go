// Package subscription is the receiving end of uWSGI's subscription protocol, by which a uwsgi
// announces itself to the routers in front of it. It does no I/O: datagrams go in, changes of the
// pools come out.
//
// # Wire format
//
// A datagram of at most 4096 bytes:
//
//	offset  bytes
//	     0      1  modifier1: 224
//	     1      2  size of what follows the header, little endian
//	     3      1  0: subscribe; else: unsubscribe
//	     4   size  variables, each a key and a value; each of those its length
//	               in two bytes, little endian, and its bytes
//
// The variables that are read, numbers in decimal:
//
//	key        the domain: a host, with a port or without
//	address    where the subscriber listens: IP:port, or the path of a unix socket in a
//	           directory that is listed, if it sends from this machine. An
//	           address that is unspecified (":3031", "0.0.0.0:3031") is the sender's,
//	           unless the packet is signed: the signature would not cover it. Link-local
//	           ones and those of multicast are refused
//	modifier1  0: other kinds of requests are not made here; modifier2 likewise
//	weight     its share beside the domain's others; 0 is 1
//	backup     not 0: used when no other is usable
//	proto      begins with "h": it speaks HTTP; else the uwsgi protocol
//	unix       the time of a signed packet, in seconds: of an unsubscription one more
//	sign       the last variable: RSA (PKCS #1 v1.5) or ECDSA (ASN.1) over the bytes
//	           from offset 4 to where this variable begins
//
// cores, load, sni_key, sni_crt, sni_ca, notify and unknown keys are ignored: a subscriber can
// neither supply certificates nor have datagrams sent to an address.
//
// # Who may subscribe
//
// If there are keys, only subscribers that sign with their domain's key may subscribe; if there are
// none, those that send from one of the listed networks. A sender can write any UDP source address,
// so networks are only as good as the routers that stop forged addresses.
//
// A signed packet counts once: its time must be later than that of the subscriber's last one, even
// after the subscriber has left, and must differ from ours by no more than the tolerance. uWSGI's
// signature does not cover the header: an attacker that holds back a packet can turn it into an
// unsubscription, but could as well have blocked the subscriber's packets.
package subscription
