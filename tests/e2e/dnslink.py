"""Paths that begin with the name of a domain: DNSLink by a server of our own, and what a user sees when it is
wrong, silent, or goes in circles."""

import json
import os
import signal

from dns_server import Server
from lab import until, write


def tree(lab):
    top = lab.directory("tree")
    write(os.path.join(top, "file"), b"by name")
    os.mkdir(os.path.join(top, "below"))
    write(os.path.join(top, "below", "deep"), b"deeper")
    return top


def records(cid):
    link = "dnslink=/ipfs/" + cid
    return {
        "_dnslink.site.test": ["v=spf1 -all", link],
        "_dnslink.en.site-x.test": [link],
        "_dnslink.part.test": [link + "/below"],
        "_dnslink.again.test": ["dnslink=/ipns/site.test/below"],
        "_dnslink.bare.test": [cid],
        "_dnslink.cname.test": "other:elsewhere.test",
        "elsewhere.test": [link],
        "_dnslink.large.test": "truncated",
        "_dnslink.two.test": [link, link + "/below"],
        "_dnslink.none.test": ["v=spf1 -all", "dnslink=rubbish"],
        "_dnslink.fails.test": "servfail",
        "_dnslink.silent.test": "silent",
        "_dnslink.id.test": "wrong-id",
        "_dnslink.noise.test": "rubbish",
        "_dnslink.circle.test": ["dnslink=/ipns/circle.test"],
        "_dnslink.key.test": ["dnslink=/ipns/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"],
        **{"_dnslink.n%d.test" % i: ["dnslink=/ipns/n%d.test" % (i + 1)] for i in range(40)},
        "_dnslink.n40.test": [link],
    }


def good(lab, node, cid):
    below = node.must("resolve", cid + "/below").out
    for path, what in (("/ipns/site.test", "/ipfs/" + cid), ("/ipns/site.test/below", below), ("ipns://site.test/below/", below),
                       ("/ipns/SITE.test", "/ipfs/" + cid), ("/ipns/en-site--x-test", "/ipfs/" + cid),
                       ("/ipns/en.site-x.test", "/ipfs/" + cid), ("/ipns/part.test", below), ("/ipns/again.test", below),
                       ("/ipns/bare.test", "/ipfs/" + cid), ("/ipns/cname.test", "/ipfs/" + cid),
                       ("/ipns/site.test/below/../.", "/ipfs/" + cid), ("/ipns/n9.test", "/ipfs/" + cid),
                       ("/ipns/large.test", "/ipfs/" + cid)):
        done = node.call("resolve", path)
        lab.check("resolve %s" % path, done.out == what, str(done))
    value = node.must("dag", "put", data=b'{"a": {"b": [1, {"/": "%s"}]}}' % cid.encode()).out
    for path, what in (("", value), ("/a/b/1", cid), ("/a/b/1/below", below[6:]), ("/a//b/0", value + "/a/b/0")):
        done = node.call("resolve", value + path)
        lab.check("resolve within a block: %s" % path, done.out == "/ipfs/" + what, str(done))
    for path in ("/a/c", "/a/b/0/x", "/a/b/1/missing"):
        done = node.call("resolve", value + path)
        lab.check("not within a block: %s" % path, done.code == 1 and done.err.startswith("Error: "), str(done))
    done = node.call("resolve", "-r=false", "/ipns/again.test/x")
    lab.check("one step", done.out == "/ipns/site.test/below/x", str(done))
    done = node.call("--enc=json", "resolve", "/ipns/site.test")
    lab.check("as JSON", done.code == 0 and json.loads(done.out) == {"Path": "/ipfs/" + cid}, str(done))


def commands(lab, node, cid):
    for words, what in ((("cat", "/ipns/site.test/file"), "by name"), (("cat", "/ipns/again.test/deep"), "deeper"),
                        (("pin", "add", "/ipns/site.test"), cid), (("ls", "/ipns/part.test"), "deep"),
                        (("dag", "get", "/ipns/site.test"), "below"), (("dag", "stat", "/ipns/site.test"), cid),
                        (("pin", "ls", "/ipns/site.test"), cid)):
        done = node.call(*words)
        lab.check(" ".join(words), done.code == 0 and what in done.out, str(done))
    lab.check("dag export", len(node.must("dag", "export", "/ipns/site.test").raw) > 100)
    out = lab.path("got")
    lab.check("get", node.call("get", "-o", out, "/ipns/site.test"))
    lab.check("get: its bytes", open(os.path.join(out, "below", "deep")).read() == "deeper")
    where = lab.directory("here")
    node.must("get", "/ipns/site.test/file", cwd=where)
    lab.check("get: its name", os.listdir(where) == ["file"])


def bad(lab, node):
    for name, what in (("missing.test", "_dnslink.missing.test"), ("none.test", "no TXT record"), ("two.test", "several TXT records"),
                       ("fails.test", "the DNS server has failed"), ("noise.test", "noise.test"), ("circle.test", "more than 32 names"),
                       ("n0.test", "more than 32 names"), ("a..b", "no domain name"), ("a b", "no domain name"), ("", "no name"), ("part.test/..", "no name"),
                       ("x" * 64 + ".test", "no domain name"), ("key.test", "no daemon runs"), ("a\x1b[2J", "no domain name")):
        done = node.call("--timeout=20s", "cat", "/ipns/" + name)
        lab.check("%s: %s" % (repr(name)[:30], what), done.code == 1 and what in done.err and "\x1b" not in done.err, str(done))
    for name in ("silent.test", "id.test"):
        done = node.call("--timeout=1s", "cat", "/ipns/" + name, deadline=30)
        lab.check("%s: told to be no answer" % name, done.code == 1 and "no answer of a DNS server" in done.err, str(done))


def interrupted(lab, node, server):
    server.asked.clear()
    process = node.begin("--timeout=0", "cat", "/ipns/silent.test")
    until(lambda: server.asked, 20)
    process.send_signal(signal.SIGINT)
    done = lab.finish(process, 30)
    lab.check("Ctrl-C ends it", done.code == 130, str(done))


def configured(lab, node, cid, second):
    def configure(value):
        return node.call("config", "--json", "DNS.Resolvers", value)
    for value in ('{"test.": "https://dns.example/dns-query"}', '{"test": "127.0.0.1"}', '{"test.": "127.0.0.1:0"}', '{"test.": 1}',
                  '["127.0.0.1"]', '{"": "127.0.0.1"}', '{"test.": "dns.example"}', '{"test.": "127.0.0.1,"}'):
        done = configure(value)
        lab.check("refused: %s" % value, done.code != 0 and "DNS over HTTPS is not built in" in done.err, str(done))
    del os.environ["DAGFS_DNS"]
    lab.check("servers by domain", configure(json.dumps({".": "127.0.0.1:9", "test.": "127.0.0.1:9", "site.test.": second.address})))
    done = node.call("resolve", "/ipns/site.test")
    lab.check("the longest that fits is asked", done.out == "/ipfs/" + cid, str(done))
    lab.check("and nobody else", second.asked == [("_dnslink.site.test", "udp")], second.asked)
    done = node.call("--timeout=5s", "resolve", "/ipns/mysite.test")
    lab.check("a domain ends at a dot", done.code == 1 and len(second.asked) == 1, str(done))


def mounted(lab, node, cid):
    point = node.mount("/ipns/site.test")
    lab.check("mount: its bytes", lab.shell("cat %s/below/deep" % point).out == "deeper")
    done = node.call("pin", "ls", os.path.join(point, "."))
    lab.check("mount: its CID", cid in done.out, str(done))
    done = node.call("mount")
    lab.check("mount: its name is listed", "/ipns/site.test on" in done.out, str(done))
    lab.check("umount", node.call("umount", point))
    point = node.mount("part.test")
    lab.check("mount of a domain alone", lab.shell("cat %s/deep" % point).out == "deeper")
    lab.check("its umount", node.call("umount", point))
    done = node.call("mount", "missing.test", lab.mountpoint())
    lab.check("mount of a domain without a record", done.code == 1 and "_dnslink.missing.test" in done.err, str(done))


def scenario(lab):
    node = lab.node("names")
    cid = node.add("-r", tree(lab))
    server = Server(records(cid), ["x" * 90] * 40 + ["dnslink=/ipfs/" + cid])
    second = Server(records(cid))
    os.environ["DAGFS_DNS"] = server.address
    good(lab, node, cid)
    lab.check("the large answer came by TCP", ("_dnslink.large.test", "tcp") in server.asked)
    lab.check("nothing but _dnslink is asked", all(name.startswith("_dnslink.") for name, _ in server.asked))
    commands(lab, node, cid)
    bad(lab, node)
    interrupted(lab, node, server)
    mounted(lab, node, cid)
    other = lab.node("other").start()
    node.start()
    other.connect(node)
    done = other.call("cat", "/ipns/site.test/below/deep")
    lab.check("another node reads by name", done.out == "deeper", str(done))
    commands(lab, other, cid)
    other.stop()
    node.stop()
    configured(lab, node, cid, second)
    server.close()
    second.close()
