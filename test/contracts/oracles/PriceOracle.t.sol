// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IMultiverse } from "../../../contracts/interfaces/IMultiverse.sol";
import { IOracle } from "../../../contracts/interfaces/IOracle.sol";
import { IPriceOracle } from "../../../contracts/interfaces/IPriceOracle.sol";
import { MockAggregator } from "../../../contracts/mocks/MockAggregator.sol";
import { QuestionId } from "../../../contracts/types/QuestionId.sol";
import { QuestionKey } from "../../../contracts/types/QuestionKey.sol";
import { OracleBase } from "./utils/OracleBase.sol";

/// @notice Reverts with what another feed would answer.
contract RevertingFeed {
    fallback() external {
        bytes memory round = abi.encode(uint256(1), int256(500), uint256(1), block.timestamp, uint256(1));
        assembly ("memory-safe") {
            revert(add(round, 32), mload(round))
        }
    }
}

/// @notice Answers `getRoundData` with the same bytes, whatever the round.
contract OddFeed {
    bytes private _answer;

    function set(bytes calldata answer) external {
        _answer = answer;
    }

    fallback(bytes calldata) external returns (bytes memory) {
        return _answer;
    }
}

contract PriceOracleTest is OracleBase {
    uint64 private constant TIME = 1_950_000_000;
    uint32 private constant MAX_DELAY = 1 hours;
    uint8 private constant OUTCOMES = 5;
    uint256 private constant VOID = 1 << 4;

    IPriceOracle private prices;
    MockAggregator private feed;
    QuestionKey private key;
    bytes private terms;
    QuestionId private question;

    function setUp() public override {
        super.setUp();
        prices = IPriceOracle(_deploy("PriceOracle", address(ledger)));
        feed = new MockAggregator();
        key = _key(OUTCOMES, DEADLINE);
        terms = abi.encode(_terms());
        question = _askOf(prices, key, terms);
    }

    /// @notice Buckets: below 1000, to below 2000, to below 3000, from there on.
    function _terms() private view returns (IPriceOracle.Terms memory) {
        int256[] memory thresholds = new int256[](3);
        (thresholds[0], thresholds[1], thresholds[2]) = (1000, 2000, 3000);
        return IPriceOracle.Terms(address(feed), 1, TIME, MAX_DELAY, thresholds);
    }

    function _round(uint16 phase, uint64 number) private pure returns (uint80) {
        return (uint80(phase) << 64) | number;
    }

    /// @notice A round before the time and one at or after it.
    function _boundary(int256 price, uint256 delay) private returns (uint80) {
        feed.push(1, TIME - 1);
        return feed.push(price, TIME + delay);
    }

    function _settle(uint80 roundId) private returns (uint256 survivors) {
        (, survivors) = prices.settle(key, terms, abi.encode(roundId));
    }

    /// @notice Another question over changed terms becomes the one under test.
    function _use(IPriceOracle.Terms memory changed) private {
        terms = abi.encode(changed);
        question = _askOf(prices, key, terms);
    }

    /* the answer */

    function test_settle_recordsTheBucketForAnyone() public {
        uint80 roundId = _boundary(1500, 0);
        _assertStatus(prices, question, IOracle.Status.Open, "open");
        vm.prank(carol);
        (QuestionId settled, uint256 survivors) = prices.settle(key, terms, abi.encode(roundId));
        vm.assertTrue(settled == question, "id");
        vm.assertEq(survivors, 1 << 1, "survivors");
        _assertLive(question, 1 << 1, "ledger");
        _assertStatus(prices, question, IOracle.Status.Settled, "settled");
    }

    function test_settle_againIsSilent() public {
        uint80 roundId = _boundary(1500, 0);
        _settle(roundId);
        vm.recordLogs();
        _settle(roundId);
        vm.assertEq(vm.getRecordedLogs().length, 0, "no events");
        vm.warp(DEADLINE + 1);
        _settle(roundId);
        _assertLive(question, 1 << 1, "kept");
    }

    function test_settle_putsAPriceAtAThresholdIntoTheBucketAbove() public {
        int256[8] memory prices_ = [int256(1), 999, 1000, 1999, 2000, 2999, 3000, type(int256).max];
        uint8[8] memory bucket = [0, 0, 1, 1, 2, 2, 3, 3];
        feed.push(1, TIME - 1);
        for (uint256 i = 0; i < prices_.length; ++i) {
            key.specHash = bytes32(i);
            question = _askOf(prices, key, terms);
            feed.nextPhase();
            IPriceOracle.Terms memory changed = _terms();
            changed.phase = uint16(2 + i);
            _use(changed);
            vm.assertEq(_settle(_boundary(prices_[i], 0)), 1 << bucket[i], "bucket");
        }
    }

    function test_fuzz_settle_bucketHoldsThePrice(int256 price, uint256 low, uint256 width) public {
        IPriceOracle.Terms memory changed = _terms();
        int256 bottom = int256(_bound(low, 0, 2 ** 250));
        int256 step = int256(_bound(width, 1, 2 ** 250));
        for (int256 i = 0; i < 3; ++i) changed.thresholds[uint256(i)] = bottom + i * step;
        _use(changed);

        uint256 survivors = _settle(_boundary(price, 0));
        if (price <= 0) vm.assertEq(survivors, VOID, "void");
        else if (price < bottom) vm.assertEq(survivors, 1, "below all");
        else if (price < bottom + step) vm.assertEq(survivors, 2, "first");
        else if (price < bottom + 2 * step) vm.assertEq(survivors, 4, "second");
        else vm.assertEq(survivors, 8, "above all");
    }

    function test_settle_withoutThresholdsAsksWhetherThereIsAPriceAtAll() public {
        IPriceOracle.Terms memory changed = _terms();
        changed.thresholds = new int256[](0);
        key.outcomes = 2;
        _use(changed);
        vm.assertEq(_settle(_boundary(5, 0)), 1, "there is");
    }

    function test_settle_isVoidForAPriceNotPositive() public {
        uint80 roundId = _boundary(0, 0);
        vm.assertEq(_settle(roundId), VOID, "zero");
    }

    function test_settle_isVoidForANegativePrice() public {
        uint80 roundId = _boundary(-1, 0);
        vm.assertEq(_settle(roundId), VOID, "negative");
    }

    function test_settle_takesARoundJustInTime() public {
        uint80 roundId = _boundary(500, MAX_DELAY);
        vm.assertEq(_settle(roundId), 1, "in time");
    }

    function test_settle_isVoidForARoundTooLongAfter() public {
        uint80 roundId = _boundary(500, MAX_DELAY + 1);
        vm.assertEq(_settle(roundId), VOID, "stale");
    }

    /* the round's proof */

    function test_settle_revertsOnAnyRoundButTheFirstOne() public {
        feed.push(500, TIME - 10);
        uint80 before = feed.push(500, TIME - 1);
        uint80 first = feed.push(1500, TIME);
        uint80 second = feed.push(2500, TIME);
        uint80 third = feed.push(3500, TIME + 1);

        _expect(abi.encodeWithSelector(IPriceOracle.RoundTooEarly.selector, before, TIME - 1, TIME));
        _settle(before);
        _expect(abi.encodeWithSelector(IPriceOracle.RoundTooLate.selector, second, TIME, TIME));
        _settle(second);
        _expect(abi.encodeWithSelector(IPriceOracle.RoundTooLate.selector, third, TIME, TIME));
        _settle(third);
        vm.assertEq(_settle(first), 1 << 1, "first");
    }

    /// @notice Of all rounds of a feed at most one settles, whatever their times.
    function test_fuzz_settle_exactlyOneRoundIsTheFirst(uint32[8] memory gaps) public {
        uint256 written = TIME - 2 hours;
        uint256 first = 0;
        for (uint64 i = 1; i <= 8; ++i) {
            written += _bound(gaps[i - 1], 0, 1 hours);
            feed.push(int256(uint256(i)), written);
            if (first == 0 && written >= TIME) first = i;
        }
        for (uint64 i = 1; i <= 8; ++i) {
            (bool ok, ) = address(prices).call(abi.encodeCall(IOracle.settle, (key, terms, abi.encode(_round(1, i)))));
            vm.assertTrue(ok == (i == first && i > 1), "only the first");
        }
    }

    function test_settle_revertsBeforeTheRoundExists() public {
        feed.push(500, TIME - 1);
        _expect(abi.encodeWithSelector(IPriceOracle.RoundIncomplete.selector, _round(1, 2)));
        _settle(_round(1, 2));
        feed.setReverting(true);
        _expect(abi.encodeWithSelector(IPriceOracle.RoundMissing.selector, address(feed), _round(1, 2)));
        _settle(_round(1, 2));
    }

    function test_settle_revertsOnAnIncompleteRound() public {
        feed.push(500, TIME - 1);
        uint80 incomplete = feed.push(500, 0);
        uint80 next = feed.push(500, TIME);
        _expect(abi.encodeWithSelector(IPriceOracle.RoundIncomplete.selector, incomplete));
        _settle(incomplete);
        _expect(abi.encodeWithSelector(IPriceOracle.RoundIncomplete.selector, incomplete));
        _settle(next);
    }

    /* phases */

    function test_settle_revertsOnTheFirstRoundOfAPhase() public {
        uint80 first = feed.push(500, TIME);
        _expect(abi.encodeWithSelector(IPriceOracle.NoRoundBefore.selector, first));
        _settle(first);
        _expect(abi.encodeWithSelector(IPriceOracle.NoRoundBefore.selector, first - 1));
        _settle(first - 1);
    }

    function test_settle_revertsOnAnotherPhase() public {
        feed.nextPhase();
        uint80 roundId = _boundary(500, 0);
        _expect(abi.encodeWithSelector(IPriceOracle.WrongPhase.selector, roundId, uint256(1), uint256(2)));
        _settle(roundId);
        // Shifted by a whole phase the number would be right.
        _expect(abi.encodeWithSelector(IPriceOracle.WrongPhase.selector, _round(0, 2), uint256(1), uint256(0)));
        _settle(_round(0, 2));
    }

    function test_settle_readsThePinnedPhaseThoughAnotherHasBegun() public {
        uint80 roundId = _boundary(500, 0);
        feed.nextPhase();
        _boundary(2500, 0);
        vm.assertEq(_settle(roundId), 1, "pinned");
    }

    function test_settle_cannotWhenTheTimeIsBeforeThePinnedPhase() public {
        IPriceOracle.Terms memory changed = _terms();
        changed.phase = 2;
        _use(changed);
        _boundary(500, 0);
        feed.nextPhase();
        uint80 first = feed.push(500, TIME + 10);
        uint80 second = feed.push(500, TIME + 20);
        _expect(abi.encodeWithSelector(IPriceOracle.NoRoundBefore.selector, first));
        _settle(first);
        _expect(abi.encodeWithSelector(IPriceOracle.RoundTooLate.selector, second, TIME + 10, TIME));
        _settle(second);
    }

    /* odd feeds */

    function test_settle_revertsOnAFeedWithoutCode() public {
        IPriceOracle.Terms memory changed = _terms();
        changed.feed = address(0xdead);
        _use(changed);
        _expect(abi.encodeWithSelector(IPriceOracle.RoundMissing.selector, address(0xdead), _round(1, 2)));
        _settle(_round(1, 2));
    }

    function test_settle_revertsOnAFeedThatReturnsTooLittle() public {
        OddFeed odd = new OddFeed();
        odd.set(bytes.concat(abi.encode(1, 500, 3, TIME), new bytes(31)));
        IPriceOracle.Terms memory changed = _terms();
        changed.feed = address(odd);
        _use(changed);
        _expect(abi.encodeWithSelector(IPriceOracle.RoundMissing.selector, address(odd), _round(1, 2)));
        _settle(_round(1, 2));
    }

    function test_settle_revertsOnAFeedThatRevertsWithARound() public {
        IPriceOracle.Terms memory changed = _terms();
        changed.feed = address(new RevertingFeed());
        _use(changed);
        _expect(abi.encodeWithSelector(IPriceOracle.RoundMissing.selector, changed.feed, _round(1, 2)));
        _settle(_round(1, 2));
    }

    function test_status_isSettledWhenTheFirstOutcomeWon() public {
        vm.assertEq(_settle(_boundary(500, 0)), 1, "below all thresholds");
        _assertStatus(prices, question, IOracle.Status.Settled, "settled");
    }

    function test_settle_revertsOnAFeedThatSaysTheSameOfEveryRound() public {
        OddFeed odd = new OddFeed();
        odd.set(abi.encode(type(uint256).max, int256(500), type(uint256).max, uint256(TIME), type(uint256).max));
        IPriceOracle.Terms memory changed = _terms();
        changed.feed = address(odd);
        _use(changed);
        _expect(abi.encodeWithSelector(IPriceOracle.RoundTooLate.selector, _round(1, 2), TIME, TIME));
        _settle(_round(1, 2));
    }

    /* terms and proofs */

    function test_settle_revertsOnTermsThatDoNotHash() public {
        uint80 roundId = _boundary(500, 0);
        IPriceOracle.Terms memory changed = _terms();
        changed.thresholds[0] = 1;
        bytes memory other = abi.encode(changed);
        QuestionId derived = prices.questionId(key, other);
        _expect(_unknown(derived));
        prices.settle(key, other, abi.encode(roundId));
        _assertStatus(prices, derived, IOracle.Status.Unknown, "unknown");
    }

    function test_settle_revertsOnMalformedTerms() public {
        terms = "not terms";
        question = _askOf(prices, key, terms);
        _expect(_malformedTerms(question));
        _settle(1);
    }

    function test_settle_revertsOnAMalformedProof() public {
        _expect(_malformedProof(question));
        prices.settle(key, terms, "");
        _expect(_malformedProof(question));
        prices.settle(key, terms, abi.encode(uint256(1) << 80));
    }

    function test_settle_revertsOnTheWrongNumberOfThresholds() public {
        key.outcomes = 4;
        question = _askOf(prices, key, terms);
        _expect(abi.encodeWithSelector(IPriceOracle.ThresholdCountMismatch.selector, uint256(3), uint256(4)));
        _settle(1);
    }

    function test_settle_revertsOnThresholdsThatDoNotAscend() public {
        IPriceOracle.Terms memory changed = _terms();
        changed.thresholds[2] = 2000;
        _use(changed);
        _expect(abi.encodeWithSelector(IPriceOracle.ThresholdsNotAscending.selector, uint256(2)));
        _settle(1);
        changed.thresholds[1] = 1000;
        _use(changed);
        _expect(abi.encodeWithSelector(IPriceOracle.ThresholdsNotAscending.selector, uint256(1)));
        _settle(1);
    }

    function test_settle_revertsAfterTheDeadline() public {
        uint80 roundId = _boundary(500, 0);
        vm.warp(DEADLINE);
        _assertStatus(prices, question, IOracle.Status.Settled, "time has decided");
        _expect(
            abi.encodeWithSelector(IMultiverse.DeadlinePassed.selector, question, uint256(DEADLINE), uint256(DEADLINE))
        );
        _settle(roundId);
    }
}
