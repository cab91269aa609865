// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Multicall } from "@openzeppelin/contracts/utils/Multicall.sol";
import { IMultiverse } from "../../contracts/interfaces/IMultiverse.sol";
import { IWorlds } from "../../contracts/interfaces/IWorlds.sol";
import { QuestionId } from "../../contracts/types/QuestionId.sol";
import { Answer, ROOT, VerseId } from "../../contracts/types/VerseId.sol";
import { Base } from "./utils/Base.sol";

contract WorldsTest is Base {
    IWorlds private notebook;
    address private keeper = _account("keeper");
    QuestionId private low;
    QuestionId private high;

    function setUp() public override {
        super.setUp();
        notebook = IWorlds(_deploy("contracts/Worlds.sol:Worlds", abi.encode(ledger)));
        (low, high) = _askPair(4, 4);
    }

    /* report */

    function test_report_storesEveryWorld() public {
        IWorlds.World[] memory worlds = _worlds(1);
        vm.expectEmit(address(notebook));
        emit IWorlds.PartitionReported(keeper, ROOT, low, worlds, _path());
        _report(keeper, _path(), low, worlds);

        for (uint256 outcome = 0; outcome < 4; ++outcome) {
            vm.assertEq(
                keccak256(abi.encode(notebook.world(keeper, _verse(_path(low, outcome))))),
                keccak256(abi.encode(worlds[outcome])),
                "world"
            );
        }
        vm.assertEq(notebook.reportHash(keeper, ROOT, low), keccak256(abi.encode(worlds)), "hash");
        vm.assertEq(address(notebook.multiverse()), address(ledger), "ledger");
    }

    function test_report_isKeptForEachKeeper() public {
        _report(keeper, _path(), low, _worlds(1));
        _report(bob, _path(), low, _worlds(2));
        vm.assertEq(notebook.world(keeper, _verse(_path(low, 0))).stateRoot, keccak256(abi.encode(1, 0)), "keeper's");
        vm.assertEq(notebook.world(bob, _verse(_path(low, 0))).stateRoot, keccak256(abi.encode(2, 0)), "bob's");
        vm.assertEq(notebook.world(carol, _verse(_path(low, 0))).stateRoot, bytes32(0), "nobody's");
        vm.assertEq(notebook.reportHash(carol, ROOT, low), bytes32(0), "no report");
    }

    function test_report_againIsSilentAndAnotherReverts() public {
        _report(keeper, _path(), low, _worlds(1));
        vm.prank(keeper);
        notebook.updateProbabilities(ROOT, low, _probabilities(7e17));
        vm.recordLogs();
        _report(keeper, _path(), low, _worlds(1));
        vm.assertEq(vm.getRecordedLogs().length, 0, "no event");
        vm.assertEq(uint256(notebook.world(keeper, _verse(_path(low, 0))).probability), 7e17, "updates are kept");
        vm.assertEq(notebook.verse(keeper, ROOT).children.length, 4, "children once");

        _expect(abi.encodeWithSelector(IWorlds.AlreadyReported.selector, keeper, ROOT, low));
        _report(keeper, _path(), low, _worlds(2));
    }

    function test_report_takesTheSmallestAndTheLargestPartition() public {
        uint8[2] memory sizes = [2, 254];
        for (uint256 i = 0; i < sizes.length; ++i) {
            // Sorting first is the more expensive way, 254 outcomes must fit a transaction all the same.
            QuestionId question = _ask(sizes[i]);
            Answer[] memory path = question < high ? _path(high, 1) : _path(low, 1);
            IWorlds.World[] memory worlds = new IWorlds.World[](sizes[i]);
            for (uint256 j = 0; j < sizes[i]; ++j) {
                worlds[j] = IWorlds.World(keccak256(abi.encode(j)), type(uint128).max, 0, -1, 3);
            }
            worlds[0].probability = 1e18;
            uint256 before = gasleft();
            _report(keeper, path, question, worlds);
            vm.assertTrue(before - gasleft() < 16_000_000, "fits a transaction");
            vm.assertEq(notebook.verse(keeper, _verse(path)).children.length, sizes[i], "children");
        }
    }

    function test_multicall_notesSeveralReportsAsTheSender() public {
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IWorlds.report, (_path(), low, _worlds(1)));
        calls[1] = abi.encodeCall(IWorlds.report, (_path(), high, _worlds(2)));
        vm.prank(keeper);
        Multicall(address(notebook)).multicall(calls);
        vm.assertEq(notebook.reportHash(keeper, ROOT, low), keccak256(abi.encode(_worlds(1))), "low");
        vm.assertEq(notebook.reportHash(keeper, ROOT, high), keccak256(abi.encode(_worlds(2))), "high");

        calls[0] = abi.encodeCall(IWorlds.report, (_path(low, 0), high, _worlds(3)));
        calls[1] = abi.encodeCall(IWorlds.report, (_path(), low, _worlds(2)));
        vm.prank(keeper);
        _expect(abi.encodeWithSelector(IWorlds.AlreadyReported.selector, keeper, ROOT, low));
        Multicall(address(notebook)).multicall(calls);
        vm.assertEq(notebook.reportHash(keeper, _verse(_path(low, 0)), high), bytes32(0), "none without the other");
    }

    function test_report_revertsForBadWorlds() public {
        IWorlds.World[] memory worlds = new IWorlds.World[](3);
        _expect(abi.encodeWithSelector(IWorlds.WrongWorldCount.selector, 4, 3));
        _report(keeper, _path(), low, worlds);

        worlds = _worlds(1);
        worlds[0].probability += 1;
        _expect(abi.encodeWithSelector(IWorlds.ProbabilitySum.selector, 1e18 + 1));
        _report(keeper, _path(), low, worlds);
        worlds[0].probability -= 2;
        _expect(abi.encodeWithSelector(IWorlds.ProbabilitySum.selector, 1e18 - 1));
        _report(keeper, _path(), low, worlds);

        worlds = _worlds(1);
        worlds[1].trit = 2;
        _expect(abi.encodeWithSelector(IWorlds.InvalidTrit.selector, int8(2)));
        _report(keeper, _path(), low, worlds);
        worlds[1].trit = -2;
        _expect(abi.encodeWithSelector(IWorlds.InvalidTrit.selector, int8(-2)));
        _report(keeper, _path(), low, worlds);

        worlds = _worlds(1);
        worlds[2].verdict = 4;
        _expect(abi.encodeWithSelector(IWorlds.InvalidVerdict.selector, uint8(4)));
        _report(keeper, _path(), low, worlds);
    }

    function test_report_revertsForBadPathsAndQuestions() public {
        QuestionId unknown = QuestionId.wrap(bytes32(uint256(4)));
        _expect(abi.encodeWithSelector(IWorlds.UnknownQuestion.selector, unknown));
        _report(keeper, _path(), unknown, _worlds(1));
        _expect(abi.encodeWithSelector(IWorlds.UnknownQuestion.selector, unknown));
        _report(keeper, _path(unknown, 0), low, _worlds(1));
        unknown = QuestionId.wrap(bytes32(type(uint256).max - 0xff + 4));
        _expect(abi.encodeWithSelector(IWorlds.UnknownQuestion.selector, unknown));
        _report(keeper, _path(unknown, 0), low, _worlds(1));
        _expect(abi.encodeWithSelector(IMultiverse.QuestionInPath.selector, low));
        _report(keeper, _path(low, 0), low, _worlds(1));
        _expect(abi.encodeWithSelector(IMultiverse.PathNotAscending.selector, 1));
        _report(keeper, _path(high, 0, low, 0), unknown, _worlds(1));
        _expect(abi.encodeWithSelector(IMultiverse.OutcomeOutOfRange.selector, low, 4));
        _report(keeper, _path(low, 4), high, _worlds(1));
    }

    /* updateProbabilities */

    function test_updateProbabilities_revisesUntilTheAnswer() public {
        _report(keeper, _path(high, 1), low, _worlds(1));
        VerseId parent = _verse(_path(high, 1));
        uint64[] memory revised = _probabilities(1e17);
        vm.expectEmit(address(notebook));
        emit IWorlds.ProbabilitiesUpdated(keeper, parent, low, revised);
        vm.prank(keeper);
        notebook.updateProbabilities(parent, low, revised);
        for (uint256 outcome = 0; outcome < 4; ++outcome) {
            IWorlds.World memory world = notebook.world(keeper, _verse(_path(low, outcome, high, 1)));
            vm.assertEq(uint256(world.probability), revised[outcome], "revised");
            vm.assertEq(world.stateRoot, _worlds(1)[outcome].stateRoot, "the rest stays");
        }

        _narrow(low, 12);
        vm.prank(keeper);
        notebook.updateProbabilities(parent, low, revised);
        _narrow(low, 4);
        _expect(abi.encodeWithSelector(IWorlds.AlreadyResolved.selector, low));
        vm.prank(keeper);
        notebook.updateProbabilities(parent, low, revised);
    }

    function test_updateProbabilities_revertsOnceTheFirstOutcomeWon() public {
        _report(keeper, _path(), low, _worlds(1));
        _narrow(low, 1);
        _expect(abi.encodeWithSelector(IWorlds.AlreadyResolved.selector, low));
        vm.prank(keeper);
        notebook.updateProbabilities(ROOT, low, _probabilities(1e17));
    }

    function test_updateProbabilities_revertsForBadInput() public {
        _report(keeper, _path(), low, _worlds(1));
        vm.startPrank(keeper);
        _expect(abi.encodeWithSelector(IWorlds.NotReported.selector, keeper, ROOT, high));
        notebook.updateProbabilities(ROOT, high, _probabilities(1e17));
        _expect(abi.encodeWithSelector(IWorlds.WrongWorldCount.selector, 4, 3));
        notebook.updateProbabilities(ROOT, low, new uint64[](3));
        _expect(abi.encodeWithSelector(IWorlds.ProbabilitySum.selector, 0));
        notebook.updateProbabilities(ROOT, low, new uint64[](4));
        vm.stopPrank();

        vm.prank(bob);
        _expect(abi.encodeWithSelector(IWorlds.NotReported.selector, bob, ROOT, low));
        notebook.updateProbabilities(ROOT, low, _probabilities(1e17));
        vm.warp(DEADLINE);
        vm.prank(keeper);
        _expect(abi.encodeWithSelector(IWorlds.AlreadyResolved.selector, low));
        notebook.updateProbabilities(ROOT, low, _probabilities(1e17));
    }

    /* trits, wev */

    function test_trits_sumToZeroOrShowTheirDebt() public {
        _report(keeper, _path(), low, _worlds(1));
        (int256 sum, bool conserved) = notebook.trits(keeper, ROOT, low);
        vm.assertEq(sum, 0, "-1 + 0 + 1");
        vm.assertTrue(conserved, "conserved");

        // Every sum from -4 to 4: conserved when divisible by 3, of either sign.
        for (int256 wanted = -4; wanted <= 4; ++wanted) {
            IWorlds.World[] memory worlds = _worlds(1);
            int256 left = wanted;
            for (uint256 i = 0; i < 4; ++i) {
                worlds[i].trit =
                    left > 0
                        ? int8(1)
                        : left < 0
                            ? int8(-1)
                            : int8(0);
                left -= worlds[i].trit;
            }
            QuestionId question = _ask(4);
            _report(keeper, _path(), question, worlds);
            (sum, conserved) = notebook.trits(keeper, ROOT, question);
            vm.assertEq(sum, wanted, "sum");
            vm.assertTrue(conserved == (wanted == -3 || wanted == 0 || wanted == 3), "modulo 3");
        }
        _expect(abi.encodeWithSelector(IWorlds.NotReported.selector, keeper, ROOT, high));
        notebook.trits(keeper, ROOT, high);
    }

    function test_wev_isDerivedFromTheReportedCosts() public {
        // A nested partition, and costs of 2, 1.5 and 3.
        IWorlds.World[] memory worlds = _worlds(1);
        worlds[2].verdict = 1;
        _report(keeper, _path(high, 1), low, worlds);
        VerseId parent = _verse(_path(high, 1));
        IWorlds.Wev memory wev = notebook.wev(keeper, parent, low, 0, 1);
        vm.assertEq(wev.priceOfAnarchy, 1_333333333333333333, "2 / 1.5");
        vm.assertEq(wev.ratio, 333333333333333333, "less one");
        vm.assertEq(wev.difference, 5e17, "2 - 1.5");
        vm.assertTrue(!wev.isInverted && !wev.isUnbounded, "as it should be");

        wev = notebook.wev(keeper, parent, low, 1, 2);
        vm.assertEq(wev.priceOfAnarchy, 5e17, "1.5 / 3");
        vm.assertEq(wev.ratio, 0, "not below 0");
        vm.assertEq(wev.difference, -15e17, "raw");
        vm.assertTrue(wev.isInverted && !wev.isUnbounded, "inverted");

        wev = notebook.wev(keeper, parent, low, 1, 1);
        vm.assertEq(wev.priceOfAnarchy, 1e18, "itself");
        vm.assertTrue(!wev.isInverted, "equal is not inverted");
    }

    function test_wev_ofCostsAtTheirEnds() public {
        IWorlds.World[] memory worlds = _worlds(1);
        worlds[0].cost = type(uint128).max;
        worlds[1].cost = 0;
        worlds[2] = IWorlds.World(bytes32(uint256(1)), 1, 2e17, 1, 1);
        _report(keeper, _path(), low, worlds);
        IWorlds.Wev memory wev = notebook.wev(keeper, ROOT, low, 0, 1);
        vm.assertTrue(wev.isUnbounded && !wev.isInverted, "over nothing");
        vm.assertEq(wev.priceOfAnarchy + wev.ratio, 0, "no ratio");
        vm.assertEq(wev.difference, int256(uint256(type(uint128).max)), "a difference all the same");
        wev = notebook.wev(keeper, ROOT, low, 0, 2);
        vm.assertEq(wev.priceOfAnarchy, uint256(type(uint128).max) * 1e18, "the largest");
        vm.assertEq(wev.ratio, (uint256(type(uint128).max) - 1) * 1e18, "less one");
    }

    function test_wev_revertsForBadInput() public {
        _report(keeper, _path(), low, _worlds(1));
        _expect(abi.encodeWithSelector(IWorlds.NotReported.selector, bob, ROOT, low));
        notebook.wev(bob, ROOT, low, 0, 1);
        _expect(abi.encodeWithSelector(IMultiverse.OutcomeOutOfRange.selector, low, 4));
        notebook.wev(keeper, ROOT, low, 4, 1);
        _expect(abi.encodeWithSelector(IMultiverse.OutcomeOutOfRange.selector, low, 255));
        notebook.wev(keeper, ROOT, low, 0, 255);
        bytes memory failed = abi.encodeWithSelector(IWorlds.NoCost.selector, keeper, _verse(_path(low, 2)));
        bytes memory none = abi.encodeWithSelector(IWorlds.NoCost.selector, keeper, _verse(_path(low, 3)));
        _expect(failed);
        notebook.wev(keeper, ROOT, low, 2, 1);
        _expect(none);
        notebook.wev(keeper, ROOT, low, 0, 3);
    }

    function test_fuzz_wev(uint128 nash, uint128 optimal) public {
        IWorlds.World[] memory worlds = _worlds(1);
        (worlds[0].cost, worlds[1].cost) = (nash, optimal);
        _report(keeper, _path(), low, worlds);
        IWorlds.Wev memory wev = notebook.wev(keeper, ROOT, low, 0, 1);
        vm.assertEq(wev.difference, int256(uint256(nash)) - int256(uint256(optimal)), "difference");
        vm.assertTrue(wev.isInverted == (nash < optimal), "inverted");
        if (optimal == 0) return;
        vm.assertEq(wev.priceOfAnarchy, (uint256(nash) * 1e18) / optimal, "price of anarchy");
        uint256 clamped = wev.priceOfAnarchy < 1e18 ? 0 : wev.priceOfAnarchy - 1e18;
        vm.assertEq(wev.ratio, clamped, "less one, clamped");
    }

    /* verse */

    function test_verse_isTheSeedsStruct() public {
        _report(keeper, _path(), high, _worlds(1));
        _report(keeper, _path(high, 1), low, _worlds(2));

        IWorlds.Verse memory seen = notebook.verse(keeper, _verse(_path(high, 1)));
        vm.assertEq(seen.verseId, VerseId.unwrap(_verse(_path(high, 1))), "id");
        vm.assertEq(seen.parentId, VerseId.unwrap(ROOT), "parent");
        vm.assertEq(seen.probability, 3e17, "probability");
        vm.assertTrue(!seen.resolved && !seen.outcome, "undecided");
        vm.assertEq(seen.children.length, 4, "children");
        for (uint256 outcome = 0; outcome < 4; ++outcome) {
            VerseId child = _verse(_path(low, outcome, high, 1));
            vm.assertEq(seen.children[outcome], VerseId.unwrap(child), "canonical child");
            vm.assertEq(notebook.verse(keeper, child).parentId, seen.verseId, "opened from here");
        }
    }

    function test_verse_listsTheChildrenOfEveryPartitionInOrder() public {
        _report(keeper, _path(), high, _worlds(1));
        _report(keeper, _path(), low, _worlds(2));
        bytes32[] memory children = notebook.verse(keeper, ROOT).children;
        vm.assertEq(children.length, 8, "both partitions");
        for (uint256 outcome = 0; outcome < 4; ++outcome) {
            vm.assertEq(children[outcome], VerseId.unwrap(_verse(_path(high, outcome))), "first reported");
            vm.assertEq(children[4 + outcome], VerseId.unwrap(_verse(_path(low, outcome))), "then");
        }
    }

    function test_verse_ofRootExistsForCertain() public view {
        IWorlds.Verse memory root = notebook.verse(keeper, ROOT);
        vm.assertEq(root.probability, 1e18, "certain");
        vm.assertTrue(root.resolved && root.outcome, "exists");
        vm.assertEq(root.children.length, 0, "nothing reported");
    }

    function test_verse_notReportedIsBlank() public view {
        IWorlds.Verse memory seen = notebook.verse(keeper, _verse(_path(low, 0)));
        vm.assertEq(seen.verseId, VerseId.unwrap(_verse(_path(low, 0))), "id");
        vm.assertEq(seen.probability, 0, "no probability");
        vm.assertTrue(!seen.resolved && !seen.outcome, "undecided");
    }

    function test_verse_followsTheLedger() public {
        _report(keeper, _path(), low, _worlds(1));
        _report(keeper, _path(low, 1), high, _worlds(2));

        _narrow(high, 14);
        _assertFate(_path(low, 1, high, 0), true, false, "its own answer is ruled out");
        _assertFate(_path(low, 1, high, 1), false, false, "open");
        _narrow(high, 2);
        _assertFate(_path(low, 1, high, 1), false, false, "an ancestor is open");
        _assertFate(_path(low, 1, high, 2), true, false, "its own answer lost");
        _narrow(low, 2);
        _assertFate(_path(low, 0), true, false, "collapsed");
        _assertFate(_path(low, 1), true, true, "exists");
        _assertFate(_path(low, 1, high, 1), true, true, "all answers given");
    }

    function test_verse_collapsesWithAnAncestorAndWithTime() public {
        _report(keeper, _path(high, 1), low, _worlds(1));
        _report(keeper, _path(high, 3), low, _worlds(2));
        _narrow(low, 2);
        vm.warp(DEADLINE);
        _assertFate(_path(low, 1, high, 1), true, false, "an ancestor lost to void");
        _assertFate(_path(low, 1, high, 3), true, true, "void");
    }

    function test_verse_openedTwiceKeepsTheFirst() public {
        _report(keeper, _path(low, 1), high, _worlds(1));
        _report(keeper, _path(high, 2), low, _worlds(2));
        VerseId both = _verse(_path(low, 1, high, 2));
        vm.assertEq(notebook.world(keeper, both).stateRoot, keccak256(abi.encode(1, 2)), "first report's world");
        vm.assertEq(notebook.verse(keeper, both).parentId, VerseId.unwrap(_verse(_path(low, 1))), "first parent");
        // The second report holds for the verses that only it opened.
        VerseId second = _verse(_path(low, 0, high, 2));
        vm.assertEq(notebook.world(keeper, second).stateRoot, keccak256(abi.encode(2, 0)), "second report's world");

        VerseId secondParent = _verse(_path(high, 2));
        vm.prank(keeper);
        notebook.updateProbabilities(secondParent, low, _probabilities(9e17));
        vm.assertEq(uint256(notebook.world(keeper, both).probability), 2e17, "not the second report's to revise");
        vm.assertEq(uint256(notebook.world(keeper, second).probability), 9e17, "its own");
    }

    function _report(address by, Answer[] memory path, QuestionId question, IWorlds.World[] memory worlds) private {
        vm.prank(by);
        notebook.report(path, question, worlds);
    }

    /// @dev Three worlds and void, told apart by `mark`.
    function _worlds(uint256 mark) private pure returns (IWorlds.World[] memory worlds) {
        worlds = new IWorlds.World[](4);
        worlds[0] = IWorlds.World(keccak256(abi.encode(mark, 0)), 2e18, 5e17, -1, 1);
        worlds[1] = IWorlds.World(keccak256(abi.encode(mark, 1)), 15e17, 3e17, 0, 2);
        worlds[2] = IWorlds.World(keccak256(abi.encode(mark, 2)), 3e18, 2e17, 1, 3);
        worlds[3] = IWorlds.World(bytes32(0), 0, 0, 0, 0);
    }

    function _probabilities(uint64 first) private pure returns (uint64[] memory probabilities) {
        probabilities = new uint64[](4);
        probabilities[0] = first;
        probabilities[1] = 1e18 - first;
    }

    function _assertFate(Answer[] memory path, bool resolved, bool outcome, string memory message) private view {
        IWorlds.Verse memory seen = notebook.verse(keeper, _verse(path));
        vm.assertTrue(seen.resolved == resolved && seen.outcome == outcome, message);
    }
}
