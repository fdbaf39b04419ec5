"""Where Redis is, as a URL says it; and what redis-py makes of it. Nothing here connects."""

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelConnectionPool

from turnout import ConfigurationError, Router
from turnout.actors.cache.redis_store import REDIS_SECONDS, open_client
from turnout.messages.cache_rules import cache_rules
from turnout.messages.redis_address import parse_redis_url
from turnout.messages.settings import RouterSettings


def test_one_server():
    client = open_client(parse_redis_url("redis://ann:p%40ss@h:6380/3?health_check_interval=5"), {})
    assert isinstance(client, Redis)
    kwargs = client.connection_pool.connection_kwargs
    assert (kwargs["host"], kwargs["port"], kwargs["db"]) == ("h", 6380, 3)
    assert (kwargs["username"], kwargs["password"]) == ("ann", "p@ss")
    assert kwargs["health_check_interval"] == 5
    assert (kwargs["socket_timeout"], kwargs["socket_connect_timeout"]) == (None, REDIS_SECONDS)


def test_tls():
    client = open_client(parse_redis_url("rediss://h"), {"ssl_ca_certs": "ca.pem"})
    assert client.connection_pool.connection_class is SSLConnection
    assert client.connection_pool.connection_kwargs["ssl_ca_certs"] == "ca.pem"


def test_a_socket_on_this_machine():
    client = open_client(parse_redis_url("unix:///run/redis.sock?db=2"), {})
    assert client.connection_pool.connection_class is UnixDomainSocketConnection
    assert client.connection_pool.connection_kwargs["path"] == "/run/redis.sock"


def test_sentinels():
    address = parse_redis_url("rediss+sentinel://ann:pw@s1:26380,s2/orders/4?health_check_interval=5")
    assert address.nodes == (("s1", 26380), ("s2", 26379))
    client = open_client(address, {"socket_connect_timeout": 0.5})
    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "orders"
    kwargs = pool.connection_kwargs
    assert (kwargs["username"], kwargs["password"], kwargs["db"]) == ("ann", "pw", 4)
    assert kwargs["health_check_interval"] == 5
    watchers = pool.sentinel_manager.sentinels
    assert [w.connection_pool.connection_kwargs["host"] for w in watchers] == ["s1", "s2"]
    assert watchers[0].connection_pool.connection_kwargs["socket_connect_timeout"] == 0.5
    assert watchers[0].connection_pool.connection_class is SSLConnection


def test_the_service_of_sentinels_has_the_name_it_has_everywhere():
    assert parse_redis_url("redis+sentinel://s1").service == "mymaster"


def test_a_cluster():
    client = open_client(parse_redis_url("rediss+cluster://:pw@a,b:7001"), {"max_connections": 9})
    assert isinstance(client, RedisCluster)
    assert sorted(client.nodes_manager.startup_nodes) == ["a:6379", "b:7001"]
    assert client.connection_kwargs["password"] == "pw"
    assert client.connection_kwargs["connection_class"] is SSLConnection


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("hunter2@localhost:6379", "redis_url must begin with one of redis://, rediss://"),
        ("http://:hunter2@h", "redis_url must begin with one of"),
        ("redis://:hunter2@", "redis_url names no host"),
        ("redis://:hunter2@h:port", "redis_url cannot be read as a URL"),
        ("redis://:hunter2@h/one", "redis_url names a database that is not a number"),
        ("redis://:hunter2@a,b", "redis_url names several hosts: begin it with redis+sentinel://"),
        ("redis+cluster://:hunter2@[::1", "redis_url cannot be read as a URL"),
    ],
)
@pytest.mark.parametrize("cached", [True, False])
def test_a_url_that_is_none_is_one_clear_error_without_the_password(url, text, cached):
    with pytest.raises(ConfigurationError) as caught:
        RouterSettings(redis_url=url, cache_responses=cached)
    assert str(caught.value).startswith(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"ttl": 0}, "cache_kwargs.ttl = 0: must be greater than 0"),
        ({"max_entries": 0}, "cache_kwargs.max_entries = 0"),
        ({"namespace": ""}, "cache_kwargs.namespace = ''"),
        ({"socket_timeout": 0}, "cache_kwargs.socket_timeout = 0: must be greater than 0"),
        ({"max_connections": "many"}, "cache_kwargs.max_connections = 'many'"),
        ({"socket_timeout": 1}, "cache_kwargs.socket_timeout is an option of Redis: set redis_url"),
        ({"max_entrys": 1}, "cache_kwargs.max_entrys is an option of Redis"),
    ],
)
def test_wrong_cache_kwargs_are_one_clear_error(kwargs, text):
    with pytest.raises(ConfigurationError) as caught:
        RouterSettings(cache_responses=True, cache_kwargs=kwargs)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"socket_timeot": 1}, "redis-py has no option 'socket_timeot'; did you mean 'socket_timeout'?"),
        ({"health_check_interval": 3, "retry_on_eror": []}, "did you mean 'retry_on_error'?"),
    ],
)
def test_an_option_that_redis_py_does_not_have_is_refused_at_construction(kwargs, text):
    with pytest.raises(ConfigurationError) as caught:
        Router([], cache_responses=True, redis_host="h", cache_kwargs=kwargs)
    assert text in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_nothing_secret_shows():
    settings = RouterSettings(
        cache_responses=True, redis_host="h", redis_username="ann", cache_kwargs={"password": "hunter2"}
    )
    rules = cache_rules(settings)
    assert rules.redis.password == "hunter2"
    assert "hunter2" not in repr(rules) + repr(rules.redis) + repr(settings) + str(settings.changed())
    url = RouterSettings(redis_url="redis://:hunter2@h")
    assert "hunter2" not in repr(url) + str(url.changed())


def test_redis_without_a_cache_is_accepted_and_does_nothing():
    settings = RouterSettings(
        redis_host="h", redis_port="6379", redis_password="made-up", cache_kwargs={"ttl": 3}
    )
    assert cache_rules(settings) is None


@pytest.mark.parametrize(
    ("url", "options", "tls"),
    [
        ("redis://h:1/0", {"ssl": False}, False),
        ("redis://h:1/0", {"ssl": True}, True),
        ("redis://h:1/0", {"ssl_cert_reqs": "none"}, False),
        ("redis://h:1/0", {"ssl": True, "ssl_cert_reqs": "none"}, True),
        ("rediss://h:1/0", {"ssl": True}, True),
        ("rediss://h:1/0", {"ssl_check_hostname": False}, True),
    ],
)
def test_tls_may_be_said_beside_a_url(url, options, tls):
    """redis-py itself takes `ssl` with a host only, and says so no sooner than it connects."""
    client = open_client(parse_redis_url(url), options)
    assert isinstance(client.connection_pool.make_connection(), SSLConnection) is tls
