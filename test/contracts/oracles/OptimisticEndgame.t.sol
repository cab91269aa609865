// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IOptimisticOracle } from "../../../contracts/interfaces/IOptimisticOracle.sol";
import { IOracle } from "../../../contracts/interfaces/IOracle.sol";
import { IMultiverse } from "../../../contracts/interfaces/IMultiverse.sol";
import { PositionId } from "../../../contracts/types/PositionId.sol";
import { QuestionId } from "../../../contracts/types/QuestionId.sol";
import { OptimisticBase } from "./utils/OptimisticBase.sol";

/// @notice What happens when time runs out while answers still follow on one another. The claims of
/// docs/decisions/2026-11-21-optimistic-oracle-endgame.md, played.
contract OptimisticEndgameTest is OptimisticBase {
    uint8 private constant TRUTH = 1;

    address private mallory;

    function setUp() public override {
        super.setUp();
        mallory = bob;
    }

    /* buy cheap void, dispute the truth, wait */

    /// @notice Alice splits and gives void away for next to nothing; carol buys the truth.
    function _market() private {
        _pushDown(alice, _path(), question, 1e12);
        _transfer(alice, mallory, _path(question, VOID), 1e12);
        _transfer(alice, carol, _path(question, TRUTH), 1e12);
    }

    /// @notice The truth won: carol is paid, void is worth nothing, the attacker's bonds are alice's.
    function _assertTruthPays(uint256 malloryBonds) private {
        vm.assertTrue(time <= ENDS - LIVENESS, "time to settle is left");
        vm.assertEq(uint256(game.status(question)), uint256(IOracle.Status.Final), "final");
        vm.prank(address(0xbeef));
        game.settle(key, terms, "");
        _assertLive(question, 1 << TRUTH, "the truth");

        uint256 before = token.balanceOf(carol);
        _pullUp(carol, _path(), question, 1e12);
        vm.assertEq(token.balanceOf(carol) - before, 1e12, "carol is paid");
        _expect(_insufficient(mallory, _path(question, TRUTH), 0, 1));
        _pullUp(mallory, _path(), question, 1);
        _expect(abi.encodeWithSelector(IOptimisticOracle.NothingToClaim.selector, question, mallory));
        _claim(mallory);
        uint256 aliceBonds = game.bondOf(question, TRUTH, alice);
        vm.assertEq(_claim(alice), aliceBonds + malloryBonds, "alice earns what the attack cost");
    }

    function test_attack_disputingTheTruthAtTheLastSecondOfEveryTurn() public {
        _market();
        _at(LATEST);
        _propose(alice, TRUTH);
        uint256 cost = 0;
        while (time + LIVENESS <= CLOSES) {
            _wait(LIVENESS - 1);
            cost += 2 * game.games(question).bond;
            _dispute(mallory, VOID);
            _wait(2 hours);
            _dispute(alice, TRUTH);
        }
        // The very last word, when nobody can answer any more.
        _at(CLOSES - 1);
        cost += 2 * game.games(question).bond;
        _dispute(mallory, VOID);
        _at(CLOSES);
        _disputeFails(_answersEnded(CLOSES), alice, TRUTH);
        vm.assertEq(uint256(game.games(question).outcome), VOID, "void is the last answer");
        _assertTruthPays(cost);
    }

    function test_attack_proposingVoidFirstAtTheLastMoment() public {
        _market();
        _at(LATEST);
        _propose(mallory, VOID);
        uint256 cost = MIN;
        _wait(LIVENESS - 1);
        _dispute(alice, TRUTH);
        while (time < CLOSES - LIVENESS) {
            _wait(LIVENESS - 1);
            cost += 2 * game.games(question).bond;
            _dispute(mallory, VOID);
            _wait(2 hours);
            _dispute(alice, TRUTH);
        }
        _at(CLOSES - 1);
        cost += 2 * game.games(question).bond;
        _dispute(mallory, VOID);
        _at(CLOSES);
        _assertTruthPays(cost);
    }

    function test_attack_callingASilentArbitratorOnOnesOwnAnswer() public {
        _market();
        _at(LATEST);
        _propose(alice, TRUTH);
        _wait(LIVENESS - 1);
        _dispute(mallory, VOID);
        _request(mallory);
        _wait(2 hours);
        _dispute(alice, TRUTH);
        _wait(WINDOW);
        _assertTruthPays(2 * MIN);
    }

    function test_attack_proposingNothingAndWaitingFailsAgainstOneProposal() public {
        _market();
        _at(LATEST);
        _propose(alice, TRUTH);
        _wait(LIVENESS);
        _disputeFails(_answersEnded(time), mallory, VOID);
        _assertTruthPays(0);
    }

    /// @notice Whatever the attacker answers and whenever: against a player who never lets a false answer stand for more
    /// than a quarter of liveness, it loses as long as it cannot afford its sixteenth answer.
    function test_fuzz_attack_failsWithinItsBudget(uint256 seed, uint256 start, bool isFirst) public {
        _at(_bound(start, START, LATEST));
        uint256 answers = isFirst ? 1 : 0;
        if (isFirst) {
            _propose(mallory, VOID);
            _wait(_random(seed, 1000) % (LIVENESS / 4 + 1));
            _dispute(alice, TRUTH);
        } else {
            _propose(alice, TRUTH);
        }
        for (uint256 i = 0; answers < 15; ++i) {
            uint256 pause = _random(seed, 2 * i) % LIVENESS;
            uint8 lie = uint8(_random(seed, 3 * i) % 3);
            if (time + pause >= CLOSES) break;
            _wait(pause);
            _dispute(mallory, lie == TRUTH ? VOID : lie);
            ++answers;
            // Some lies are contradicted by another lie first: that costs the attacker a bond more.
            if (_random(seed, 5 * i) % 4 == 0 && answers < 15) {
                _dispute(mallory, lie == 0 ? 2 : 0);
                ++answers;
            }
            uint256 reply = _random(seed, 7 * i) % (LIVENESS / 4 + 1);
            if (time + reply >= CLOSES) break;
            _wait(reply);
            _dispute(alice, TRUTH);
        }
        _at(CLOSES);
        _assertVerdict(TRUTH, "the truth");
    }

    function _random(uint256 seed, uint256 salt) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, salt)));
    }

    /// @notice What it takes to win by the clock all the same: to be faster than the other side over the whole game, and
    /// so to double the bonds that often.
    function test_attack_byTheClockCostsTwoToTheThirtiethOfTheMinimum() public {
        _at(LATEST);
        _propose(mallory, VOID);
        uint256 last = MIN;
        while (time + LIVENESS / 4 < CLOSES) {
            _wait(LIVENESS / 4);
            _dispute(alice, TRUTH);
            last = 2 * game.games(question).bond;
            _dispute(mallory, VOID);
        }
        _at(CLOSES);
        _assertVerdict(VOID, "bought");
        vm.assertTrue(last >= uint256(MIN) << 30, "dearly");
    }

    /* the rule itself */

    function test_closing_theLongestStandingWins() public {
        _reachLastTurn();
        // Until here each of the two has stood for four turns. The one standing now gains what is left.
        _at(CLOSES - 1);
        _assertRunning("not closed");
        _at(CLOSES);
        _assertVerdict(0, "stood longest");
    }

    function test_closing_theLastAnswerDoesNotWinForBeingLast() public {
        _reachLastTurn();
        _at(CLOSES - 1);
        _dispute(bob, 1);
        _at(CLOSES);
        _assertVerdict(0, "stood longest");
        vm.assertEq(uint256(game.games(question).outcome), 1, "though not last");
    }

    /// @notice Eight turns one second short of liveness, alice's and bob's in turn, then alice's again with eight seconds left.
    function _reachLastTurn() private {
        _at(LATEST);
        _propose(alice, 0);
        for (uint8 i = 1; i <= 8; ++i) {
            _wait(LIVENESS - 1);
            _dispute(i % 2 == 1 ? bob : alice, i % 2);
        }
        vm.assertEq(time, CLOSES - 8, "eight seconds left");
    }

    function test_closing_aTieIsTheEarliers() public {
        _at(LATEST);
        _propose(alice, 0);
        for (uint8 i = 1; i <= 16; ++i) {
            _wait(LIVENESS / 2);
            if (i < 16) _dispute(i % 2 == 1 ? bob : alice, i % 2);
        }
        vm.assertEq(time, CLOSES, "closed");
        (, uint256 stood) = game.support(question, 0);
        vm.assertEq(stood, 4 * LIVENESS, "half of the time each");
        _assertVerdict(0, "the first to have stood that long");
    }

    function test_closing_aFullLivenessEndingThereWins() public {
        _at(LATEST);
        _propose(alice, 0);
        for (uint8 i = 1; i <= 28; ++i) {
            _wait(LIVENESS / 4);
            _dispute(i % 2 == 1 ? bob : alice, i == 28 ? 2 : i % 2);
        }
        vm.assertEq(time, CLOSES - LIVENESS, "one liveness left");
        _wait(LIVENESS - 1);
        _assertRunning("not yet");
        _at(CLOSES);
        _assertVerdict(2, "stood for liveness, though the others stood longer");
    }

    function test_closing_lessThanALivenessIsNotEnough() public {
        _at(LATEST);
        _propose(alice, 0);
        for (uint8 i = 1; i <= 28; ++i) {
            _wait(LIVENESS / 4 + (i == 28 ? 1 : 0));
            _dispute(i % 2 == 1 ? bob : alice, i == 28 ? 2 : i % 2);
        }
        _at(CLOSES);
        _assertVerdict(1, "stood longest by a second");
    }

    /// @notice Against a second, plain telling of the rules: the list of answers and what each outcome's turns add up to.
    function test_fuzz_verdict_isWhatTheRulesSay(uint256 seed, uint256 start) public {
        uint256[] memory times = new uint256[](25);
        uint8[] memory outcomes = new uint8[](25);
        uint256 count = 1;
        times[0] = _bound(start, LATEST - 2 days, LATEST);
        outcomes[0] = uint8(seed % OUTCOMES);
        _at(times[0]);
        _propose(alice, outcomes[0]);

        while (count < 25) {
            uint256 gap = (_random(seed, count) % LIVENESS) + (_random(seed, count + 100) % 40 == 0 ? 1 hours : 0);
            uint256 end = _min(times[count - 1] + LIVENESS, CLOSES);
            _at(times[count - 1] + gap);
            outcomes[count] = uint8(
                (outcomes[count - 1] + 1 + (_random(seed, count + 200) % (OUTCOMES - 1))) % OUTCOMES
            );
            if (time >= end) {
                _disputeFails(_answersEnded(end), bob, outcomes[count]);
                break;
            }
            _dispute(bob, outcomes[count]);
            times[count++] = time;
        }
        uint256 over = _min(times[count - 1] + LIVENESS, CLOSES);
        vm.warp(over - 1);
        _assertRunning("not before");
        vm.warp(over);
        _assertVerdict(_expected(times, outcomes, count), "as told");
    }

    function _expected(
        uint256[] memory times,
        uint8[] memory outcomes,
        uint256 count
    ) private pure returns (uint8 winner) {
        if (times[count - 1] + LIVENESS <= CLOSES) return outcomes[count - 1];
        uint256[OUTCOMES] memory total;
        uint256[OUTCOMES] memory reached;
        for (uint256 i = 0; i < count; ++i) {
            uint256 until = i + 1 < count ? times[i + 1] : CLOSES;
            if (until == times[i]) continue;
            total[outcomes[i]] += until - times[i];
            reached[outcomes[i]] = until;
        }
        for (uint8 i = 0; i < OUTCOMES; ++i) {
            bool isLonger = total[i] > total[winner];
            bool isEarlier = total[i] == total[winner] && reached[i] < reached[winner];
            if (isLonger || isEarlier) winner = i;
        }
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }

    /* bonds */

    /// @notice Two games in one token, random players, rulings or none: everyone claims, and each game pays out what was
    /// put into it, but for the rounding, and not a unit of the other's.
    function test_fuzz_claim_paysOutWhatWasPutIn(uint256 seed, uint256 rounds, bool isRuled) public {
        QuestionId first = question;
        uint256 firstPot = _play(seed, _bound(rounds, 0, 20), isRuled);
        key.specHash = keccak256("another");
        question = _askOf(game, key, terms);
        uint256 secondPot = _play(_random(seed, 1), _bound(rounds, 0, 20) / 2, !isRuled);
        vm.assertEq(token.balanceOf(address(game)), firstPot + secondPot, "all bonds");
        _wait(LIVENESS);

        uint256 rest = secondPot - _claimAll();
        vm.assertTrue(rest < 3, "second game");
        question = first;
        rest += firstPot - _claimAll();
        vm.assertTrue(rest < 6, "first game");
        vm.assertEq(token.balanceOf(address(game)), rest, "only the rounding stays");
    }

    function _play(uint256 seed, uint256 rounds, bool isRuled) private returns (uint256 pot) {
        address[3] memory players = [alice, bob, carol];
        uint8 outcome = uint8(seed % OUTCOMES);
        pot = MIN + (seed % 1e9);
        _proposeFor(players[seed % 3], outcome, pot);
        uint256 bond = pot;
        for (uint256 i = 0; i < rounds; ++i) {
            outcome = uint8((outcome + 1 + (_random(seed, i) % (OUTCOMES - 1))) % OUTCOMES);
            bond *= 2;
            pot += bond;
            _dispute(players[_random(seed, i + 100) % 3], outcome);
        }
        if (isRuled) {
            _request(players[_random(seed, 200) % 3]);
            arbitrator.rule(game, uint8(_random(seed, 300) % OUTCOMES));
        }
    }

    /// @notice All three claim what they can.
    function _claimAll() private returns (uint256 paid) {
        address[3] memory players = [alice, bob, carol];
        (, uint8 winner) = game.verdict(question);
        for (uint256 i = 0; i < 3; ++i) {
            uint256 bonds = game.bondOf(question, winner, players[i]);
            uint256 share = game.claimable(question, players[i]);
            vm.assertTrue(share >= bonds, "nobody right loses");
            if (share == 0)
                _expect(abi.encodeWithSelector(IOptimisticOracle.NothingToClaim.selector, question, players[i]));
            uint256 got = _claim(players[i]);
            vm.assertEq(got, share, "as said");
            paid += got;
        }
    }
}
