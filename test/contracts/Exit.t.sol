// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IMultiverse } from "../../contracts/interfaces/IMultiverse.sol";
import { QuestionId } from "../../contracts/types/QuestionId.sol";
import { Answer, ROOT } from "../../contracts/types/VerseId.sol";
import { Base } from "./utils/Base.sol";
import { Vm } from "./utils/Vm.sol";

/// @notice Several levels up in one call.
contract ExitTest is Base {
    QuestionId private low;
    QuestionId private high;

    function setUp() public override {
        super.setUp();
        (low, high) = _askPair(2, 3);
    }

    function test_exit_takesWinnersToRoot() public {
        _pushDown(alice, _path(), low, 100);
        _pushDown(alice, _path(low, 1), high, 100);
        _transfer(alice, bob, _path(low, 1, high, 2), 70);
        _narrow(low, 2);
        _narrow(high, 4);

        IMultiverse.Level[] memory levels = new IMultiverse.Level[](2);
        levels[0] = IMultiverse.Level(_path(low, 1), high, 70);
        levels[1] = IMultiverse.Level(_path(), low, 70);
        _exit(bob, levels, carol);
        vm.assertEq(token.balanceOf(carol), FUNDS + 70, "to the receiver");
        vm.assertEq(token.balanceOf(bob), FUNDS, "bob's own stays");
        _assertBalance(bob, _path(low, 1), 0, "nothing left half-way");

        // The same answers, the other way round.
        levels[0] = IMultiverse.Level(_path(high, 2), low, 30);
        levels[1] = IMultiverse.Level(_path(), high, 30);
        _exit(alice, levels, alice);
        vm.assertEq(token.balanceOf(alice), FUNDS - 70, "alice is out");
        vm.assertEq(token.balanceOf(address(ledger)), 0, "empty");
    }

    function test_exit_takesCompleteSetsTheWayTheyCame() public {
        // In either sorting order, with nothing answered.
        QuestionId[2] memory first = [low, high];
        QuestionId[2] memory second = [high, low];
        for (uint256 i = 0; i < 2; ++i) {
            _pushDown(alice, _path(), first[i], 100);
            _pushDown(alice, _path(first[i], 1), second[i], 100);
            IMultiverse.Level[] memory levels = new IMultiverse.Level[](2);
            levels[0] = IMultiverse.Level(_path(first[i], 1), second[i], 100);
            levels[1] = IMultiverse.Level(_path(), first[i], 100);
            _exit(alice, levels, alice);
            vm.assertEq(token.balanceOf(alice), FUNDS, "whole again");
        }
    }

    function test_exit_gathersBranches() public {
        // Every child of the first question was split again; only together do they make a set of it.
        _pushDown(alice, _path(), low, 100);
        _pushDown(alice, _path(low, 0), high, 100);
        _pushDown(alice, _path(low, 1), high, 60);
        IMultiverse.Level[] memory levels = new IMultiverse.Level[](3);
        levels[0] = IMultiverse.Level(_path(low, 0), high, 100);
        levels[1] = IMultiverse.Level(_path(low, 1), high, 60);
        levels[2] = IMultiverse.Level(_path(), low, 100);
        _exit(alice, levels, bob);
        vm.assertEq(token.balanceOf(bob), FUNDS + 100, "out, with what was held half-way");
    }

    function test_exit_toAnAncestorPaysOnlyTheLastLevelOut() public {
        QuestionId third = _ask(2);
        while (!(high < third)) third = _ask(2);
        _pushDown(alice, _path(), low, 100);
        _pushDown(alice, _path(low, 1), high, 100);
        _pushDown(alice, _path(low, 1, high, 0), third, 100);
        IMultiverse.Level[] memory levels = new IMultiverse.Level[](2);
        levels[0] = IMultiverse.Level(_path(low, 1, high, 0), third, 50);
        levels[1] = IMultiverse.Level(_path(low, 1), high, 40);
        _exit(alice, levels, bob);
        _assertBalance(bob, _path(low, 1), 40, "the ancestor, to the receiver");
        _assertBalance(alice, _path(low, 1, high, 0), 10, "half-way, to the owner");
        _assertBalance(alice, _path(low, 1, high, 1), 60, "what the second level left");
    }

    function test_exit_emitsOnePullUpForEachLevel() public {
        _pushDown(alice, _path(), low, 100);
        _pushDown(alice, _path(low, 1), high, 100);
        _narrow(low, 2);
        _narrow(high, 4);
        IMultiverse.Level[] memory levels = new IMultiverse.Level[](2);
        levels[0] = IMultiverse.Level(_path(low, 1), high, 100);
        levels[1] = IMultiverse.Level(_path(), low, 100);
        vm.expectEmit(address(ledger));
        emit IMultiverse.PullUp(_verse(_path(low, 1)), high, alice, address(token), alice, 100, 4, _path(low, 1));
        vm.expectEmit(address(ledger));
        emit IMultiverse.PullUp(ROOT, low, alice, address(token), bob, 100, 2, _path());
        _exit(alice, levels, bob);
    }

    function test_exit_costsLessThanAMulticall() public {
        uint256 depth = 3;
        (QuestionId[] memory questions, IMultiverse.Level[] memory levels) = _ladder(depth, 100);
        for (uint256 i = 0; i < depth; ++i) _narrow(questions[i], 1);
        bytes[] memory calls = new bytes[](depth);
        for (uint256 i = 0; i < depth; ++i) {
            IMultiverse.Level memory level = levels[i];
            level.amount = 20;
            calls[i] = abi.encodeCall(ledger.pullUp, (level.path, level.question, address(token), 20, alice));
        }
        bytes memory together = abi.encodeCall(ledger.exit, (levels, address(token), alice));
        bytes memory apart = abi.encodeCall(ledger.multicall, (calls));
        // Once each for slots that are warm to both.
        (_gasOf(together), _gasOf(apart));
        vm.assertTrue(_gasOf(together) < _gasOf(apart), "cheaper");
    }

    function _gasOf(bytes memory call) private returns (uint256) {
        vm.prank(alice);
        uint256 before = gasleft();
        (bool ok, ) = address(ledger).call(call);
        uint256 spent = before - gasleft();
        vm.assertTrue(ok, "done");
        return spent;
    }

    function test_exit_of12LevelsFitsATransaction() public {
        (, IMultiverse.Level[] memory levels) = _ladder(12, 100);
        uint256 before = gasleft();
        _exit(alice, levels, alice);
        vm.assertTrue(before - gasleft() < 16_777_216, "fits");
        vm.assertEq(token.balanceOf(alice), FUNDS, "out");
    }

    function test_exit_isAllOrNothing() public {
        _pushDown(alice, _path(), low, 100);
        _pushDown(alice, _path(low, 1), high, 100);
        _transfer(alice, bob, _path(low, 0), 1);
        IMultiverse.Level[] memory levels = new IMultiverse.Level[](2);
        levels[0] = IMultiverse.Level(_path(low, 1), high, 100);
        levels[1] = IMultiverse.Level(_path(), low, 100);
        _expect(_insufficient(alice, _path(low, 0), 99, 100));
        _exit(alice, levels, alice);
        _assertBalance(alice, _path(low, 1, high, 0), 100, "the first level is undone");
    }

    function test_exit_revertsForBadInput() public {
        _pushDown(alice, _path(), low, 100);
        IMultiverse.Level[] memory levels = new IMultiverse.Level[](1);
        _expect(abi.encodeWithSelector(IMultiverse.NoLevels.selector));
        _exit(alice, new IMultiverse.Level[](0), alice);
        levels[0] = IMultiverse.Level(_path(), low, 100);
        _expect(abi.encodeWithSelector(IMultiverse.ReceiverIsZero.selector));
        _exit(alice, levels, address(0));
        levels[0].amount = 0;
        _expect(abi.encodeWithSelector(IMultiverse.ZeroAmount.selector));
        _exit(alice, levels, alice);
        levels[0].amount = MAX_AMOUNT + 1;
        _expect(abi.encodeWithSelector(IMultiverse.AmountTooLarge.selector, MAX_AMOUNT + 1));
        _exit(alice, levels, alice);
        levels[0] = IMultiverse.Level(_path(low, 0), low, 1);
        _expect(abi.encodeWithSelector(IMultiverse.QuestionInPath.selector, low));
        _exit(alice, levels, alice);
        levels[0] = IMultiverse.Level(_path(high, 0, low, 0), low, 1);
        _expect(abi.encodeWithSelector(IMultiverse.PathNotAscending.selector, 1));
        _exit(alice, levels, alice);
        QuestionId unknown = QuestionId.wrap(bytes32(uint256(2)));
        levels[0] = IMultiverse.Level(_path(), unknown, 1);
        _expect(abi.encodeWithSelector(IMultiverse.UnknownQuestion.selector, unknown));
        _exit(alice, levels, alice);
        // Nobody else's to take, a redeemer's neither.
        vm.prank(alice);
        ledger.setRedeemer(bob, true);
        levels[0] = IMultiverse.Level(_path(), low, 1);
        _expect(_insufficient(bob, _path(low, 0), 0, 1));
        _exit(bob, levels, bob);
    }

    function test_fuzz_exit_isItsPullUpsOneByOne(uint256 seed, bool answered) public {
        uint256 depth = 1 + (seed % 5);
        (QuestionId[] memory questions, IMultiverse.Level[] memory levels) = _ladder(depth, 1000);
        if (answered) for (uint256 i = 0; i < depth; ++i) _narrow(questions[i], 1);
        for (uint256 i = 0; i < depth; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            // Less at every level, so that each has enough.
            levels[i].amount = 1000 - 100 * i - (seed % 100);
        }
        vm.recordLogs();
        _exit(alice, levels, bob);
        bytes32 together = _digest(vm.getRecordedLogs());
        uint256 given = token.balanceOf(bob);

        // Undo by pushing down the same amounts, then the same by single calls.
        vm.prank(bob);
        token.transfer(alice, given - FUNDS);
        if (answered) return;
        for (uint256 i = 1; i <= depth; ++i) {
            IMultiverse.Level memory level = levels[depth - i];
            _pushDown(alice, level.path, level.question, level.amount);
        }
        vm.recordLogs();
        for (uint256 i = 0; i < depth; ++i) {
            vm.prank(alice);
            ledger.pullUp(
                levels[i].path,
                levels[i].question,
                address(token),
                levels[i].amount,
                i == depth - 1 ? bob : alice
            );
        }
        vm.assertEq(_digest(vm.getRecordedLogs()), together, "the same events");
        vm.assertEq(token.balanceOf(bob), given, "the same money");
    }

    /// @dev `amount` pushed down through `depth` new questions along outcome 0 each, and the exit that undoes it.
    function _ladder(
        uint256 depth,
        uint256 amount
    ) private returns (QuestionId[] memory questions, IMultiverse.Level[] memory levels) {
        questions = new QuestionId[](depth);
        levels = new IMultiverse.Level[](depth);
        Answer[] memory path = _path();
        for (uint256 i = 0; i < depth; ++i) {
            questions[i] = _ask(2);
            _pushDown(alice, path, questions[i], amount);
            levels[depth - 1 - i] = IMultiverse.Level(path, questions[i], amount);
            path = _with(path, questions[i], 0);
        }
    }

    function _digest(Vm.Log[] memory logs) private pure returns (bytes32) {
        return keccak256(abi.encode(logs));
    }

    function _exit(address owner, IMultiverse.Level[] memory levels, address to) private {
        vm.prank(owner);
        ledger.exit(levels, address(token), to);
    }
}
