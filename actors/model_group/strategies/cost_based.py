"""`cost-based-routing`: the candidate at which this request costs least. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Pick
from .chance import in_random_order
from .price_index import PriceIndex, tier_from
from .ranking import Ranking

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from .base import Candidate, Query
    from .price_index import PriceList, Prices, Tier

__all__ = ["CostBased"]


class CostBased:
    """Lowest price of the request: input tokens × input price + expected output × output price.

    Expected output is the request's maximum, or what the candidate's calls have used on average.
    What is not sold by the token (images, text to be spoken, audio) goes by the price of one piece, since
    all candidates are asked for the same; in a group that has both kinds it comes after the other.
    Ties are settled at random; candidates of unknown price come last, at random.
    Deployments of other groups that may stand in (`substitutes`) are candidates like any other.
    """

    name = "cost-based-routing"

    def __init__(self) -> None:
        self._index = PriceIndex()
        self._by_piece: Ranking[Candidate] = Ranking()
        self._unpriced: Ranking[Candidate] = Ranking()

    def add(self, candidate: Candidate, now: float) -> None:
        self.remove(candidate)
        prices, piece = _prices(candidate), _price_of_a_piece(candidate)
        if prices is not None:
            self._index.put(candidate, prices)
        elif piece is not None:
            self._by_piece.put(candidate.id, piece, candidate)
        else:
            self._unpriced.put(candidate.id, 0.0, candidate)

    def remove(self, candidate: Candidate) -> None:
        self._index.drop(candidate)
        self._by_piece.drop(candidate.id)
        self._unpriced.drop(candidate.id)

    def update(self, candidate: Candidate, now: float) -> None:
        self._index.update(candidate)

    def started(self, candidate: Candidate, tokens: int, now: float) -> None:
        """What a call costs does not depend on how many there were."""

    def pick(self, query: Query, rng: random.Random) -> Pick | None:
        tokens = _tokens(query)
        compared = self._index.cheapest(*tokens)
        if not compared:
            return self._pick_without_tokens(query, rng)
        compared.sort(key=_cost)
        cost, prices = compared[0]
        if len(compared) > 1 and compared[1][0] == cost:
            return self._walk(query, rng)
        members = prices.members
        count = 1 if len(members) == 1 else tier_from(prices, *tokens, 0).end
        draw = None if count == 1 else rng.random()
        candidate = members[0 if draw is None else int(draw * count)][2]
        if query.admits(candidate):
            return Pick(candidate, cost, draw, _shown(candidate, compared))
        return self._walk(query, rng, refused=candidate)

    def _walk(self, query: Query, rng: random.Random, refused: Candidate | None = None) -> Pick | None:
        """The long way, for ties and refusals: tier by tier."""
        tiers = self._index.ascending(*_tokens(query))
        tier = next(tiers, None)
        while tier is not None:
            same, higher = _of_one_cost(tier, tiers)
            pick = _pick_among(same, query, rng, refused)
            if pick is not None:
                return pick
            tier = higher
        return self._pick_without_tokens(query, rng)

    def _pick_without_tokens(self, query: Query, rng: random.Random) -> Pick | None:
        """Of those that have no price of a token: the cheapest piece, then anyone."""
        pieces, start = self._by_piece, 0
        while start < len(pieces):
            price = pieces[start][0]
            end = pieces.end_of(price)
            for place, draw in in_random_order(end - start, rng):
                candidate = pieces[start + place][2]
                if query.admits(candidate):
                    return Pick(candidate, price, draw)
            start = end
        return self._pick_unpriced(query, rng)

    def _pick_unpriced(self, query: Query, rng: random.Random) -> Pick | None:
        for place, draw in in_random_order(len(self._unpriced), rng):
            candidate = self._unpriced[place][2]
            if query.admits(candidate):
                return Pick(candidate, None, draw)
        return None


def _tokens(query: Query) -> tuple[int, int | None]:
    """Input, at least 1 (for no tokens at all everybody would be the cheapest), and output."""
    return query.demand.input_tokens or 1, query.demand.output_tokens


def _prices(candidate: Candidate) -> Prices | None:
    """Both prices in US dollars a token; None when one is unknown. Embeddings have no output."""
    prices = candidate.facts.prices
    if prices is None:
        return None
    output = prices.output_token
    if output is None and candidate.deployment.mode == "embedding":
        output = 0.0
    if prices.input_token is None or output is None:
        return None
    return prices.input_token, output


def _price_of_a_piece(candidate: Candidate) -> float | None:
    """US dollars for an image, a character to be spoken or a second of audio, whichever it is sold by."""
    prices = candidate.facts.prices
    if prices is None:
        return None
    pieces = (prices.image, prices.character, prices.second)
    return next((price for price in pieces if price is not None), None)


def _of_one_cost(tier: Tier, tiers: Iterator[Tier]) -> tuple[list[Tier], Tier | None]:
    """The tiers that cost as much as this one, and the next that costs more."""
    same = [tier]
    for following in tiers:
        if following.cost > tier.cost:
            return same, following
        same.append(following)
    return same, None


def _pick_among(same: list[Tier], query: Query, rng: random.Random, refused: Candidate | None) -> Pick | None:
    """An admitted candidate of these tiers, which all cost the same."""
    count = sum(tier.end - tier.start for tier in same)
    cost = same[0].cost
    for place, draw in in_random_order(count, rng):
        candidate = _member(same, place)
        if candidate is not refused and query.admits(candidate):
            if count == 1:
                return Pick(candidate, cost, draw, ((candidate.id, cost),))
            other = _member(same, 0 if place else 1)
            return Pick(candidate, cost, draw, ((candidate.id, cost), (other.id, cost)))
    return None


def _member(tiers: list[Tier], place: int) -> Candidate:
    """Number `place` of the candidates in these tiers."""
    for tier in tiers:
        size = tier.end - tier.start
        if place < size:
            return tier.prices.members[tier.start + place][2]
        place -= size
    raise IndexError(place)


def _cost(compared: tuple[float, PriceList]) -> float:
    return compared[0]


def _shown(candidate: Candidate, compared: list[tuple[float, PriceList]]) -> tuple[tuple[str, float], ...]:
    """The pick, beside the next price list that came up."""
    picked = (candidate.id, compared[0][0])
    if len(compared) == 1:
        return (picked,)
    cost, prices = compared[1]
    return picked, (prices.members[0][2].id, cost)
